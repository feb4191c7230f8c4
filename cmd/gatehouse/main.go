// Command gatehouse logs people in to applications. Without a command it serves
// on http://127.0.0.1:8080 and keeps everything in the folder gatehouse-data;
// gatehouse --help lists what else it can do.
package main

import (
	"os"

	"github.com/gatehouse-auth/gatehouse/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}
