package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// Input is what settings are read from, beside the files in the working
// directory: .env and the YAML file.
type Input struct {
	// Flags are the flags that were given, by name without the dashes.
	Flags map[string]string
	// Environ is the environment, as of os.Environ.
	Environ []string
}

// Loaded is the settings in force.
type Loaded struct {
	Settings Settings
	// Warnings are about what is in force but should not stay so.
	Warnings []string

	from map[string]Source
}

// From is where the value of the setting with this name comes from.
func (l *Loaded) From(name string) Source {
	if s, ok := l.from[name]; ok {
		return s
	}
	return Source{Kind: "default"}
}

// Load reads the settings. The error is a [Faults] with everything that cannot
// be accepted; the settings are returned beside it, as far as they were
// understood, to be shown and not to be used.
func Load(in Input) (*Loaded, error) {
	l := &loader{Loaded: Loaded{from: map[string]Source{}}, environ: map[string]string{}}
	for _, pair := range in.Environ {
		// A variable that is set to nothing is as good as not set: that is what
		// GATEHOUSE_URL=${URL} in a compose file comes to.
		if name, value, ok := strings.Cut(pair, "="); ok && value != "" {
			l.environ[name] = value
		}
	}
	l.readDotenv()
	l.readYAML(in.Flags)
	for _, s := range table {
		l.resolve(s, in.Flags)
	}
	l.refuseUnknown()
	l.applyAliases()
	l.applyDefaults()
	l.readSecretFiles()
	l.check()
	if len(l.faults) > 0 {
		return &l.Loaded, Faults(l.faults)
	}
	return &l.Loaded, nil
}

type loader struct {
	Loaded
	environ map[string]string
	dotenv  []entry
	yaml    []entry
	file    string // the YAML file, or empty
	faults  []Fault
}

func (l *loader) fault(from Source, name, format string, args ...any) {
	l.faults = append(l.faults, Fault{Source: from, Name: name, Text: fmt.Sprintf(format, args...)})
}

func (l *loader) warn(format string, args ...any) {
	l.Warnings = append(l.Warnings, fmt.Sprintf(format, args...))
}

func (l *loader) readDotenv() {
	text, mode, err := readSmall(".env")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		l.fault(Source{Kind: "file", Name: ".env"}, "", "%s", reason(err))
		return
	}
	entries, faults := parseDotenv(text)
	l.dotenv, l.faults = entries, append(l.faults, faults...)
	if others(mode) && slices.ContainsFunc(entries, func(e entry) bool { return holdsSecret(e.name) }) {
		// Only a warning: this file belongs to the other programs as well, and
		// every tool makes it with this mode.
		l.warn(".env holds secrets and can be read by other users: chmod 600 .env")
	}
}

// holdsSecret reports whether a variable of this name is a secret.
func holdsSecret(variable string) bool {
	for _, s := range table {
		if s.secret() && s.variable() == variable {
			return true
		}
	}
	return slices.ContainsFunc(aliases, func(a alias) bool {
		s, _ := settingNamed(a.setting)
		return a.variable == variable && s.secret()
	})
}

func (l *loader) readYAML(flags map[string]string) {
	config, _ := settingNamed("config")
	l.resolve(config, flags)
	from, explicit := l.from["config"]
	l.file = l.Settings.Config
	if !explicit {
		l.file = "gatehouse.yaml"
	}
	text, mode, err := readSmall(l.file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !explicit:
		l.file = ""
		return
	case err != nil:
		l.fault(from, "config", "%s: %s", l.file, reason(err))
		l.file = ""
		return
	}
	entries, faults := parseYAML(l.file, text)
	l.yaml, l.faults = entries, append(l.faults, faults...)
	if !explicit {
		l.Settings.Config = l.file
	}
	for _, e := range entries {
		s, ok := settingNamed(strings.ReplaceAll(e.name, "_", "-"))
		switch {
		case !ok || !others(mode):
		case s.secret():
			l.fault(l.at(e), s.name, "is in a file that other users can read: chmod 600 %s, or move it to a file of its own and name that with %s_file", l.file, s.key())
		case strings.Contains(e.value, "://") && strings.Contains(e.value, "@"):
			l.fault(l.at(e), s.name, "is in a file that other users can read: chmod 600 %s, or set %s", l.file, s.variable())
		}
	}
}

func (l *loader) at(e entry) Source { return Source{Kind: "file", Name: l.file, Line: e.line} }

// resolve takes the value of a setting from the first source that has one.
func (l *loader) resolve(s setting, flags map[string]string) {
	if _, done := l.from[s.name]; done {
		return
	}
	text, from, ok := l.find(s, flags)
	if !ok {
		return
	}
	l.from[s.name] = from
	if err := s.set(&l.Settings, text); err != nil {
		l.fault(from, s.name, "%v", err)
		l.useDefault(s) // so that one fault is said once
	}
}

func (l *loader) find(s setting, flags map[string]string) (string, Source, bool) {
	if text, ok := flags[s.name]; ok {
		return text, Source{Kind: "flag", Name: s.flag()}, true
	}
	if text, ok := l.environ[s.variable()]; ok {
		return text, Source{Kind: "environment", Name: s.variable()}, true
	}
	if e, ok := l.inDotenv(s.variable()); ok {
		return e.value, Source{Kind: "file", Name: ".env", Line: e.line}, true
	}
	for _, e := range l.yaml {
		if e.name == s.key() && s.name != "config" {
			return e.value, l.at(e), true
		}
	}
	return "", Source{}, false
}

// inDotenv is the last line of .env that sets the variable to something.
func (l *loader) inDotenv(variable string) (entry, bool) {
	for _, e := range slices.Backward(l.dotenv) {
		if e.name == variable && e.value != "" {
			return e, true
		}
	}
	return entry{}, false
}

// ours reports whether a variable is meant for us.
func ours(variable string) bool { return strings.HasPrefix(variable, "GATEHOUSE_") }

// serviceLink matches the variables that Kubernetes sets in every pod beside a
// service that is called gatehouse; nobody wrote them.
var serviceLink = regexp.MustCompile(`^GATEHOUSE_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

func (l *loader) refuseUnknown() {
	var variables, keys []string
	for _, s := range table {
		variables, keys = append(variables, s.variable()), append(keys, s.key())
	}
	unknown := func(from Source, name string, names []string) {
		hint := "gatehouse config lists the settings"
		if n := nearest(strings.ToLower(name), names); n != "" {
			hint = "did you mean " + n + "?"
		}
		l.fault(from, "", "there is no setting %s; %s", quoteName(name), hint)
	}

	names := make([]string, 0, len(l.environ))
	for name := range l.environ {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if ours(name) && !slices.Contains(variables, name) && !serviceLink.MatchString(name) {
			unknown(Source{Kind: "environment", Name: quoteName(name)}, name, variables)
		}
	}
	for _, e := range l.dotenv {
		if ours(e.name) && !slices.Contains(variables, e.name) && !serviceLink.MatchString(e.name) {
			unknown(Source{Kind: "file", Name: ".env", Line: e.line}, e.name, variables)
		}
	}
	for _, e := range l.yaml {
		if e.name == "config" {
			l.fault(l.at(e), "", "a settings file cannot name another one; use --config or GATEHOUSE_CONFIG")
		} else if !slices.Contains(keys, e.name) {
			unknown(l.at(e), e.name, keys)
		}
	}
}

// quoteName is a name as it was written, if it can be printed as such.
func quoteName(name string) string {
	if plain(name) == nil && len(name) <= 64 && !strings.ContainsAny(name, ` "'`) {
		return name
	}
	return fmt.Sprintf("%.64q", name)
}

func (l *loader) applyDefaults() {
	for _, s := range table {
		if _, set := l.from[s.name]; !set {
			l.useDefault(s)
		}
	}
}

func (l *loader) useDefault(s setting) {
	if s.def == "" {
		return
	}
	if err := s.set(&l.Settings, s.def); err != nil {
		panic("default of " + s.name + ": " + err.Error()) // a test loads them all
	}
}

// readSmall is the text and the mode of a file that is not too large.
func readSmall(name string) (string, fs.FileMode, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", 0, err
	}
	if info.IsDir() {
		return "", 0, errors.New("is a folder")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", 0, err
	}
	return string(text), info.Mode(), nil
}

// others reports whether users beside the owner can read a file of this mode.
// Windows has no such modes.
func others(mode fs.FileMode) bool {
	return runtime.GOOS != "windows" && mode.IsRegular() && mode.Perm()&0o077 != 0
}

// reason is an error of the file system without the path, which the line it
// goes into has said already.
func reason(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}
