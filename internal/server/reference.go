package server

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed reference.md
var referenceHead string

// Reference is docs/settings.md: the text about settings and a section for
// each of them, made from the tags of [Settings].
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	group := ""
	for _, s := range table {
		if s.group != group {
			group = s.group
			fmt.Fprintf(&b, "\n## %s\n", group)
		}
		fmt.Fprintf(&b, "\n### `%s`\n\n%s\n\n", s.key(), s.help)
		b.WriteString("| flag | environment | YAML | type | default |\n|---|---|---|---|---|\n")
		flag, key := "`"+s.flag()+"`", "`"+s.key()+"`"
		if s.secret() {
			flag = "none: arguments can be read by every user"
		}
		if s.name == "config" {
			key = "none"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s |\n", flag, s.variable(), key, s.typeInWords(), s.defaultInWords())
		if s.cost != "" {
			fmt.Fprintf(&b, "\n**Cost:** %s\n", s.cost)
		}
	}
	return b.String()
}

func (s setting) typeInWords() string {
	if s.min != "" {
		return fmt.Sprintf("%s, %s to %s", s.kind(), s.min, s.max)
	}
	return s.kind()
}

func (s setting) defaultInWords() string {
	switch {
	case s.preset != "":
		return s.preset
	case s.def != "":
		return "`" + s.def + "`"
	}
	return "none"
}
