package server

import (
	"fmt"
	"strings"
)

// Source is where a value comes from.
type Source struct {
	// Kind is "flag", "environment", "file", "alias" or "default".
	Kind string
	// Name is the flag, the variable or the file; empty for a default.
	Name string
	// Line is the line of the file, or 0.
	Line int
}

// String says it for people: --listen, environment GATEHOUSE_LISTEN, .env:3.
func (s Source) String() string {
	switch s.Kind {
	case "environment":
		return "environment " + s.Name
	case "alias":
		if s.Line > 0 {
			return fmt.Sprintf("alias %s at .env:%d", s.Name, s.Line)
		}
		return "alias " + s.Name
	case "default":
		return "default"
	}
	if s.Line > 0 {
		return fmt.Sprintf("%s:%d", s.Name, s.Line)
	}
	return s.Name
}

// Fault is one thing about the settings that cannot be accepted.
type Fault struct {
	Source Source
	Name   string // the setting, or empty when it is about none or several
	Text   string // what is wrong and what to do about it
}

// Error is the line for people.
func (f Fault) Error() string {
	var b strings.Builder
	if f.Source.Kind != "" && f.Source.Kind != "default" {
		b.WriteString(f.Source.String() + ": ")
	}
	if f.Name != "" && f.Source.Kind != "flag" && f.Source.Kind != "environment" {
		b.WriteString(strings.ReplaceAll(f.Name, "-", "_") + " ")
	}
	return b.String() + f.Text
}

// Faults is all that is wrong at once. It is never empty.
type Faults []Fault

// Error has a line for every fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}
