package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type version struct{}

// Run shows what the Go tool has written into the program.
func (version) Run(p *program) error {
	revision, when, changed := "", "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				revision = " " + s.Value
			case "vcs.time":
				when = " " + s.Value
			case "vcs.modified":
				if s.Value == "true" {
					changed = " with changes"
				}
			}
		}
	}
	fmt.Fprintf(p.out, "gatehouse %s%s%s%s %s %s/%s\n", versionName(), revision, when, changed, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

func versionName() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
