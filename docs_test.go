package gatehouse_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The tables of docs/security say of each requirement what proves it. These
// tests hold them to the standard and to the code: nothing is left out, nothing
// stands there twice, and whatever is named exists.

// TestASVS knows the numbers and levels of OWASP ASVS 5.0.0 from testdata, and no
// more of it.
func TestASVS(t *testing.T) {
	const page = "docs/security/asvs.md"
	levels := map[string]string{}
	var numbers []string
	for line := range strings.Lines(readFile(t, "testdata/asvs-5.0.txt")) {
		number, level, _ := strings.Cut(strings.TrimSpace(line), " ")
		levels[number] = level
		numbers = append(numbers, number)
	}
	if len(numbers) != 345 {
		t.Fatalf("%d requirements, and ASVS 5.0.0 has 345", len(numbers))
	}
	in := newEvidence(t)
	seen := map[string]int{}
	counts := map[string]map[verdict]int{}
	for _, row := range tableRows(t, page, 5) {
		covers := expand(row.cells[0], numbers)
		if len(covers) == 0 {
			t.Errorf("%s: %q is no requirement of ASVS 5.0", row.at, row.cells[0])
			continue
		}
		v := in.check(row, row.cells[2], row.cells[3], row.cells[4])
		single := len(covers) == 1
		if !single && v != inapplicable && v != unmet {
			t.Errorf("%s: %s are together, and only what does not apply or is not met may be", row.at, row.cells[0])
		}
		// The first section of a chapter asks for documents, and a page is one.
		if v == documented && strings.Split(covers[0], ".")[1] != "1" {
			t.Errorf("%s: %s asks for more than a page", row.at, covers[0])
		}
		for _, number := range covers {
			if seen[number]++; seen[number] > 1 {
				t.Errorf("%s: %s is there already", row.at, number)
			}
			if !strings.Contains(row.cells[1], levels[number]) || single && row.cells[1] != levels[number] {
				t.Errorf("%s: %s is of level %s, not %s", row.at, number, levels[number], row.cells[1])
			}
			if counts[levels[number]] == nil {
				counts[levels[number]] = map[verdict]int{}
			}
			counts[levels[number]][v]++
		}
	}
	for _, number := range numbers {
		if seen[number] == 0 {
			t.Errorf("%s says nothing of %s (level %s)", page, number, levels[number])
		}
	}
	text := readFile(t, page)
	for _, level := range []string{"1", "2", "3"} {
		c := counts[level]
		total := c[proven] + c[documented] + c[operators] + c[unmet] + c[inapplicable]
		want := fmt.Sprintf("| level %s | %d | %d | %d | %d | %d | %d |", level, total, c[proven], c[documented], c[operators], c[unmet], c[inapplicable])
		if !strings.Contains(text, want) {
			t.Errorf("the summary of %s lacks the line\n%s", page, want)
		}
	}
}

// TestStandards does the same for the requirements of other standards, which
// have no list to be held to.
func TestStandards(t *testing.T) {
	in := newEvidence(t)
	rows := tableRows(t, "docs/security/standards.md", 4)
	for _, row := range rows {
		if row.cells[0] == "" {
			t.Errorf("%s: no source", row.at)
		}
		if in.check(row, row.cells[1], row.cells[2], row.cells[3]) == documented {
			t.Errorf("%s: a page proves nothing", row.at)
		}
	}
	if len(rows) < 20 {
		t.Errorf("%d rows", len(rows))
	}
}

// verdict is what a row says of its requirement.
type verdict int

const (
	unproven     verdict = iota // the row says nothing that holds
	proven                      // a test shows it
	documented                  // it asks for a page, and that is there
	operators                   // whoever runs the service has to do it
	unmet                       // something is missing, and the row says what
	inapplicable                // there is nothing here to which it could apply
)

// evidence is what rows may point to.
type evidence struct {
	t        *testing.T
	tests    map[string]*testFiles // by the last part of the folder; "gatehouse" is the root
	settings string
}

// testFiles is what the tests of a package hold.
type testFiles struct {
	folders []string
	funcs   map[string]bool
	words   map[string]bool // string literals, as subtests are called by
}

// newEvidence reads the tests of every module of the repository.
func newEvidence(t *testing.T) *evidence {
	t.Helper()
	in := &evidence{t, map[string]*testFiles{}, readFile(t, "docs/settings.md")}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || path != "." && strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder := filepath.Dir(path)
		name := filepath.Base(folder)
		if folder == "." {
			name = "gatehouse"
		}
		f := in.tests[name]
		if f == nil {
			f = &testFiles{funcs: map[string]bool{}, words: map[string]bool{}}
			in.tests[name] = f
		}
		if !slices.Contains(f.folders, folder) {
			f.folders = append(f.folders, folder)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil {
					f.funcs[n.Name.Name] = true
				}
			case *ast.BasicLit:
				if s, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil {
					f.words[strings.ReplaceAll(s, " ", "_")] = true
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

var (
	pageLink = regexp.MustCompile(`\[[^\]]+\]\(([^)#]+)(?:#([^)]+))?\)`)
	testName = regexp.MustCompile("^`([a-z0-9]+)\\.((?:Test|Fuzz)\\w+)((?:/[^`/]+)*)`$")
	// Marks at the beginning of what is no test; what follows is the reason.
	marks = map[string]verdict{"does not apply": inapplicable, "not met": unmet, "operator": operators}
)

// check reports what a row says of its requirement, and fails the test if it is
// not so. In how, code is a file, a setting or a command. Proof is one or more of
// these, separated by semicolons: tests, separated by commas; a link to a page;
// "does not apply", "not met" or "operator" with a reason.
func (in *evidence) check(row tableRow, asks, how, proof string) verdict {
	in.t.Helper()
	fault := func(format string, args ...any) verdict {
		in.t.Helper()
		in.t.Errorf(row.at+": "+format, args...)
		return unproven
	}
	if asks == "" || len(asks) > 120 {
		fault("%q is not a few words", asks)
	}
	for _, m := range codeSpan.FindAllStringSubmatch(how, -1) {
		if why := in.lacks(m[1]); why != "" {
			fault("`%s`: %s", m[1], why)
		}
	}
	found := map[verdict]bool{}
	for _, part := range parts(proof) {
		mark, reason, _ := strings.Cut(part, ": ")
		v, marked := marks[mark]
		switch {
		case marked && len(reason) < 8:
			return fault("%s, and no reason", mark)
		case marked:
			found[v] = true
		case pageLink.MatchString(part):
			found[documented] = true
		default:
			for name := range strings.SplitSeq(part, ", ") {
				if why := in.lacksTest(name); why != "" {
					return fault("%s %s", name, why)
				}
			}
			found[proven] = true
		}
		for _, link := range pageLink.FindAllStringSubmatch(part, -1) {
			if why := lacksPage(filepath.Join("docs/security", link[1]), link[2]); why != "" {
				fault("%s %s", link[0], why)
			}
		}
	}
	for _, v := range []verdict{unmet, proven, documented, operators, inapplicable} {
		if found[v] {
			if v == proven && how == "" {
				fault("nothing says how it is met")
			}
			return v
		}
	}
	return unproven
}

// parts splits a proof. A semicolon within a reason begins no new part.
func parts(proof string) []string {
	var list []string
	for part := range strings.SplitSeq(proof, "; ") {
		mark, _, _ := strings.Cut(part, ":")
		if begins := strings.HasPrefix(part, "`") || strings.HasPrefix(part, "[") || marks[mark] != unproven; begins || list == nil {
			list = append(list, part)
			continue
		}
		list[len(list)-1] += "; " + part
	}
	return list
}

// lacks says what is wrong with a piece of code in the column "how".
func (in *evidence) lacks(code string) string {
	if command, ok := strings.CutPrefix(code, "gatehouse "); ok {
		if !strings.Contains(readFile(in.t, "docs/commands.md"), "`"+command) {
			return "no such command"
		}
		return ""
	}
	if strings.Contains(code, "/") || regexp.MustCompile(`\.[a-z]+$`).MatchString(code) {
		if _, err := os.Stat(code); err != nil {
			return "no such file"
		}
		return ""
	}
	name, _, _ := strings.Cut(code, "=")
	if !strings.Contains(in.settings, "### `"+strings.ReplaceAll(name, "-", "_")+"`\n") {
		return "neither a file, nor a setting, nor a command"
	}
	return ""
}

// lacksTest says why a name is not that of a test.
func (in *evidence) lacksTest(name string) string {
	m := testName.FindStringSubmatch(name)
	if m == nil {
		return "is not package.TestName"
	}
	files := in.tests[m[1]]
	if files == nil || !files.funcs[m[2]] {
		return "does not exist"
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(m[3], "/"), "/") {
		script := func(folder string) bool {
			_, err := os.Stat(filepath.Join(folder, "testdata", part+".txtar"))
			return err == nil
		}
		if part != "" && !files.words[part] && !slices.ContainsFunc(files.folders, script) {
			return "has no part " + part
		}
	}
	return ""
}

// lacksPage says why a link leads nowhere.
func lacksPage(path, anchor string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "leads to no page"
	}
	if anchor == "" {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		heading := strings.TrimLeft(line, "#")
		if heading == line {
			continue
		}
		slug := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
		if strings.ReplaceAll(slug, " ", "-") == anchor {
			return ""
		}
	}
	return "leads to no heading"
}

// tableRow is a row of a table, and where it stands.
type tableRow struct {
	at    string
	cells []string
}

// tableRows reads the tables of a page that have that many columns.
func tableRows(t *testing.T, page string, columns int) []tableRow {
	t.Helper()
	var rows []tableRow
	n, inTable := 0, false
	for line := range strings.Lines(readFile(t, page)) {
		n++
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			inTable = false
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		at := page + ":" + strconv.Itoa(n)
		switch {
		case strings.HasPrefix(line, "|---"):
			inTable = len(cells) == columns
		case inTable && len(cells) != columns:
			t.Errorf("%s: %d columns, want %d", at, len(cells), columns)
		case inTable:
			rows = append(rows, tableRow{at, cells})
		}
	}
	return rows
}

// expand lists the requirements that a cell stands for: numbers, sections or
// chapters, separated by commas.
func expand(cell string, numbers []string) []string {
	var covers []string
	for item := range strings.SplitSeq(cell, ", ") {
		before := len(covers)
		for _, number := range numbers {
			if number == item || strings.HasPrefix(number, item+".") {
				covers = append(covers, number)
			}
		}
		if len(covers) == before {
			return nil
		}
	}
	return covers
}

// The check itself must be able to fail.
func TestEvidenceNotices(t *testing.T) {
	in := newEvidence(t)
	for name, exists := range map[string]bool{
		"`gatehouse.TestCuts`":                    true,
		"`cli.TestScripts/backup`":                true,
		"`e2e.TestFull/SQLite`":                   true,
		"`gatehouse.TestCutsOfBefore`":            false,
		"`nowhere.TestCuts`":                      false,
		"`cli.TestScripts/nothing`":               false,
		"gatehouse.TestCuts":                      false,
		"`gatehouse.tableRows`":                   false,
		"`gatehouse.TestCuts` and something more": false,
	} {
		if why := in.lacksTest(name); (why == "") != exists {
			t.Errorf("%s: %q", name, why)
		}
	}
	for code, exists := range map[string]bool{
		"web/guard.go": true, "go.mod": true, "maximum-lifetime": true, "limits=off": true, "gatehouse keys rotate": true, "gatehouse keys list": true,
		"web/nothing.go": false, "nothing": false, "gatehouse nothing": false,
	} {
		if why := in.lacks(code); (why == "") != exists {
			t.Errorf("%s: %q", code, why)
		}
	}
	for link, exists := range map[string]bool{"limits.md#what-counts": true, "limits.md": true, "limits.md#nothing": false, "nothing.md": false} {
		page, anchor, _ := strings.Cut(link, "#")
		if why := lacksPage(filepath.Join("docs", page), anchor); (why == "") != exists {
			t.Errorf("%s: %q", link, why)
		}
	}
	numbers := []string{"1.2.1", "1.2.10", "1.2.2", "12.1.1"}
	for cell, want := range map[string]string{"1.2.1": "1.2.1", "1": "1.2.1 1.2.10 1.2.2", "12.1, 1.2.2": "12.1.1 1.2.2", "1.2.3": "", "1.2.1, 9": "", "": ""} {
		if got := strings.Join(expand(cell, numbers), " "); got != want {
			t.Errorf("%q stands for %q, want %q", cell, got, want)
		}
	}
}
