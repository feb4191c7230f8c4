package server

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/joho/godotenv"
)

// entry is a name and a value as they stand in a file.
type entry struct {
	name  string
	value string
	line  int
}

// maxFile bounds the files with settings. Nobody has settings of this size.
const maxFile = 64 << 10

// parseDotenv reads the text of a .env file. The parser does not say where a
// name stands and repeats the rest of the file, secrets included, in its
// errors; so it is given one statement after the other and our words are used.
func parseDotenv(text string) ([]entry, []Fault) {
	at := func(line int, format string, args ...any) []Fault {
		return []Fault{{Source: Source{Kind: "file", Name: ".env", Line: line}, Text: fmt.Sprintf(format, args...)}}
	}
	if len(text) > maxFile {
		return nil, at(0, "the file is larger than %d KiB", maxFile>>10)
	}
	lines := strings.SplitAfter(strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n"), "\n")
	var entries []entry
	known := map[string]string{}
	for i := 0; i < len(lines); {
		statement, size := cutStatement(lines[i:])
		if size == 0 {
			return nil, at(i+1, "this line is not NAME=value, or its quotation mark is not closed")
		}
		got, err := godotenv.Unmarshal(preamble(known) + statement)
		if err != nil {
			return nil, at(i+1, "this line cannot be read")
		}
		if name, ok := statementName(statement); ok {
			if lost := unknownReference(statement, known); lost != "" && ours(name) {
				return nil, at(i+1, "%s refers to $%s, which is not set above; if the dollar sign belongs to the value, put the value between single quotes", name, lost)
			}
			known[name] = got[name]
			entries = append(entries, entry{name, got[name], i + 1})
		}
		i += size
	}
	return entries, nil
}

// cutStatement is the shortest run of whole lines that can be read as such, and
// how many they are: more than one if a quoted value goes over several lines.
func cutStatement(lines []string) (string, int) {
	var b strings.Builder
	for n, line := range lines {
		b.WriteString(line)
		got, err := godotenv.Unmarshal(b.String())
		if _, unnamed := got[""]; err == nil && !unnamed {
			return b.String(), n + 1
		}
		if n == 0 && !strings.ContainsAny(line, `"'`) {
			break
		}
	}
	return "", 0
}

var nameOfStatement = regexp.MustCompile(`^\s*(?:export\s+)?([\p{L}\p{N}_.]+)\s*[=:]`)

func statementName(statement string) (string, bool) {
	m := nameOfStatement.FindStringSubmatch(statement)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// preamble repeats the values that a statement may refer to.
func preamble(known map[string]string) string {
	var b strings.Builder
	for name, value := range known {
		if !strings.ContainsAny(value, "'\n\r\\") {
			b.WriteString(name + "='" + value + "'\n")
		}
	}
	return b.String()
}

var reference = regexp.MustCompile(`(^|[^\\])\$\{?([A-Z0-9_]+)`)

// unknownReference is the first name that the statement refers to and that has
// no value: the parser would put nothing in its place, and a password would be
// shorter than what was typed.
func unknownReference(statement string, known map[string]string) string {
	_, value, _ := strings.Cut(statement, "=")
	if strings.HasPrefix(strings.TrimSpace(value), "'") {
		return ""
	}
	for _, m := range reference.FindAllStringSubmatch(value, -1) {
		if _, ok := known[m[2]]; !ok {
			return m[2]
		}
	}
	return ""
}
