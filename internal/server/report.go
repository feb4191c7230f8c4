package server

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// Entry is a setting in force, for people and programs to read.
type Entry struct {
	Name  string `json:"name"`
	Value string `json:"value"` // [hidden] for a secret
	From  string `json:"from"`
}

// Report lists the settings in force, in the order of the reference.
func (l *Loaded) Report() []Entry {
	list := make([]Entry, 0, len(table))
	for _, s := range table {
		e := Entry{Name: s.key(), Value: s.format(&l.Settings), From: l.From(s.name).String()}
		switch {
		case s.name == "mode" && e.From == "default":
			e.From = "default, " + l.whyMode()
		case s.name == "database" && e.Value == "":
			e.Value = DatabaseOf(&l.Settings).String()
		case s.name == "database" || s.name == "redis":
			e.Value = shown(e.Value)
		case s.name == "secret" && e.Value == "":
			e.Value = "[made at first start, in " + l.Settings.KeptSecretFile() + "]"
			if _, err := os.Stat(l.Settings.KeptSecretFile()); err == nil {
				e.Value = "[hidden, in " + l.Settings.KeptSecretFile() + "]"
			}
		case s.name == "audience" && e.Value == "":
			e.Value = l.Settings.Issuer
		case (s.name == "access-cookie" || s.name == "refresh-cookie" || s.name == "device-cookie") && e.Value == "":
			if e.Value = strings.TrimSuffix(s.name, "-cookie"); e.Value != "device" {
				e.Value += "_token"
			}
			if strings.HasPrefix(l.Settings.URL, "https:") {
				e.Value = "__Host-" + e.Value
			}
		}
		list = append(list, e)
	}
	return list
}

// inForce is every setting in force but the secrets, for the audit log, and the
// names of those that each instance may have its own of.
func (l *Loaded) inForce() (values map[string]string, own []string) {
	secrets := map[string]bool{}
	for _, s := range table {
		secrets[s.key()] = s.secret()
		if s.own {
			own = append(own, s.key())
		}
	}
	values = map[string]string{}
	shared := l.Settings.Database != "" && !strings.HasPrefix(l.Settings.Database, "sqlite:")
	for _, e := range l.Report() {
		// Instances on one database would tell each other's as a change.
		if shared && slices.Contains(own, e.Name) {
			continue
		}
		if !secrets[e.Name] {
			values[e.Name] = e.Value
		}
	}
	return values, own
}

func (l *Loaded) whyMode() string {
	if !l.Settings.Production() {
		return "on loopback without a public URL"
	}
	if l.Settings.URL != "" {
		return "with a public URL"
	}
	return "not on loopback"
}

// WriteReport writes the settings in force as a table.
func (l *Loaded) WriteReport(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SETTING\tVALUE\tFROM")
	for _, e := range l.Report() {
		if e.Value == "" {
			e.Value = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", e.Name, e.Value, e.From)
	}
	return t.Flush()
}

// WriteJSON writes the settings in force, the warnings and the faults as JSON.
func (l *Loaded) WriteJSON(w io.Writer, faults Faults) error {
	out := struct {
		Settings []Entry  `json:"settings"`
		Warnings []string `json:"warnings"`
		Faults   []string `json:"faults"`
	}{l.Report(), append([]string{}, l.Warnings...), []string{}}
	for _, f := range faults {
		out.Faults = append(out.Faults, f.Error())
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(out)
}
