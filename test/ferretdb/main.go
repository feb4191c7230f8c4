// Command ferretdb is a server that speaks the protocol of MongoDB, for tests on
// machines on which MongoDB cannot be had. It is FerretDB on SQLite files behind
// a proxy of ours, and no database to keep anything in: what is tested with it is
// how Gatehouse uses single commands, not MongoDB.
//
// FerretDB 1 lets commands run into each other, so that of sixteen
// compare-and-set several win. The proxy lets one command through at a time. It
// also makes some of its answers those of MongoDB; see proxy.go and unique.go.
//
//	ferretdb --listen 127.0.0.1:27017 --data FOLDER
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:27017", "the address to listen on")
	data := flag.String("data", "", "the folder of the databases; it exists")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *data); err != nil {
		fmt.Fprintln(os.Stderr, "ferretdb:", err)
		os.Exit(1)
	}
}

// run serves until ctx is done.
func run(ctx context.Context, listen, data string) error {
	if data == "" {
		return errors.New("--data names no folder")
	}
	data, err := filepath.Abs(data)
	if err != nil {
		return err
	}
	server, err := ferretdb.New(&ferretdb.Config{
		Listener: ferretdb.ListenerConfig{TCP: "127.0.0.1:0"},
		Logger:   slog.New(slog.DiscardHandler),
		Handler:  "sqlite",
		// synchronous is FULL unless said otherwise: what was answered survives.
		SQLiteURL: (&url.URL{Scheme: "file", Path: data + "/"}).String(),
	})
	if err != nil {
		return err
	}
	outside, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	address, err := url.Parse(server.MongoDBURI())
	if err != nil {
		return err
	}
	p := &proxy{server: address.Host}
	go p.serve(outside)
	err = <-ended
	return errors.Join(err, outside.Close())
}
