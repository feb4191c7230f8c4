package gatehouse_test

import (
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

// What the sources themselves must hold to. These are the programs and packages
// that others run: not tests, not tools, not examples.

// perilous are packages with which much can go wrong, where each may be used all
// the same, and why. The other ones are used nowhere.
var perilous = []struct {
	imported string
	why      string
	in       []string // files, or folders with a slash at the end
}{
	{"os/exec", "a command could be made of input", nil},
	{"plugin", "it runs code that was not built in", nil},
	{"text/template", "it does not escape; text/template/parse only reads templates", nil},
	{"math/rand", "it can be guessed", nil},
	{"math/rand/v2", "it can be guessed; there it spreads in time what is no secret: the lifetimes of tokens, another try", []string{"token.go", "store/postgres/run.go"}},
	{"unsafe", "nothing checks what it reads and writes; there it makes blocks of memory that the system handed out, and calls the scheduler", []string{"internal/argon2/argon2.go", "internal/argon2/apart.go"}},
	{"C", "not memory-safe", nil},
	{"encoding/gob", "it makes objects of whichever types are asked for", nil},
	{"encoding/xml", "it reads more forms of a document than others do", nil},
	{"net/http/pprof", "it shows the inside of the process to whoever asks", nil},
	{"expvar", "it shows the inside of the process to whoever asks", nil},
	{"net/http/httputil", "a proxy is a way to other machines", nil},
	{"net/smtp", "mail is a way to other machines", nil},
	{"crypto/md5", "broken; there it verifies what others have made of it, PHPass and digests under argon2id", []string{"internal/hashing/phpass.go", "internal/hashing/wrapped.go"}},
	{"crypto/sha1", "broken; there it asks lists of leaked passwords, which are of SHA-1, verifies what others have made of it, PBKDF2 and digests under argon2id, and names scripts as Redis does",
		[]string{"breach/", "weak.go", "internal/cli/breach.go", "internal/hashing/pbkdf2.go", "internal/hashing/wrapped.go", "store/redis/wire.go"}},
	{"crypto/des", "broken", nil},
	{"crypto/rc4", "broken", nil},
	{"crypto/dsa", "broken", nil},
}

func TestPerilousPackages(t *testing.T) {
	used := sources(t)
	for _, p := range perilous {
		for _, file := range used[p.imported] {
			if !slices.ContainsFunc(p.in, func(there string) bool { return strings.HasPrefix(file, there) }) {
				t.Errorf("%s imports %s: %s", file, p.imported, p.why)
			}
		}
		for _, there := range p.in {
			if !slices.ContainsFunc(used[p.imported], func(file string) bool { return strings.HasPrefix(file, there) }) {
				t.Errorf("%s may import %s, and does not any more", there, p.imported)
			}
		}
	}
}

// TestCryptographyIsListed holds the inventory of docs/security.md to the
// imports, both ways.
func TestCryptographyIsListed(t *testing.T) {
	_, inventory, _ := strings.Cut(readFile(t, "docs/security.md"), "\n## Cryptography\n")
	inventory, _, _ = strings.Cut(inventory, "\n## ")
	var listed []string
	isCrypto := regexp.MustCompile(`^(golang\.org/x/)?crypto/`).MatchString
	for _, m := range codeSpan.FindAllStringSubmatch(inventory, -1) {
		if isCrypto(m[1]) {
			listed = append(listed, m[1])
		}
	}
	used := sources(t)
	for imported, files := range used {
		if isCrypto(imported) && !slices.Contains(listed, imported) {
			t.Errorf("%s is not in the inventory of cryptography; it is used in %v", imported, files)
		}
	}
	for _, imported := range listed {
		if len(used[imported]) == 0 {
			t.Errorf("%s is in the inventory of cryptography, and nothing imports it", imported)
		}
	}
}

// TestDependenciesAreListed holds docs/dependencies.md to go.mod.
func TestDependenciesAreListed(t *testing.T) {
	page := readFile(t, "docs/dependencies.md")
	direct := regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(readFile(t, "go.mod"), -1)
	if len(direct) < 10 {
		t.Fatalf("%d dependencies in go.mod", len(direct))
	}
	for _, m := range direct {
		if !strings.Contains(page, strings.TrimPrefix(m[1], "github.com/")) {
			t.Errorf("docs/dependencies.md says nothing of %s", m[1])
		}
	}
}

// TestErrorCodesAreListed holds docs/errors.md to the codes that answers have.
func TestErrorCodesAreListed(t *testing.T) {
	page := readFile(t, "docs/errors.md")
	var text strings.Builder
	code := regexp.MustCompile(`(?:Code: |gatehouse\.[A-Z]\w+, )"([a-z_]+)"`)
	for _, file := range sourceFiles(t) {
		source := readFile(t, file)
		text.WriteString(source)
		if strings.HasPrefix(file, "web/ui/") {
			continue // it is shown codes, and makes none
		}
		for _, m := range code.FindAllStringSubmatch(source, -1) {
			if !strings.Contains(page, "`"+m[1]+"`") {
				t.Errorf("docs/errors.md says nothing of %s, in %s", m[1], file)
			}
		}
	}
	for _, m := range regexp.MustCompile("`([a-z]+(?:_[a-z]+)*)`").FindAllStringSubmatch(codesOf(page), -1) {
		if !strings.Contains(text.String(), `"`+m[1]+`"`) {
			t.Errorf("docs/errors.md speaks of %s, and nothing says that", m[1])
		}
	}
}

// codesOf is the second column of the table.
func codesOf(page string) string {
	var codes []string
	for line := range strings.Lines(page) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			codes = append(codes, cells[2])
		}
	}
	return strings.Join(codes, "\n")
}

// sources are the files that import a package, by its path.
func sources(t *testing.T) map[string][]string {
	t.Helper()
	imports := map[string][]string{}
	for _, name := range sourceFiles(t) {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			imports[imported] = append(imports[imported], name)
		}
	}
	if len(imports["crypto/rand"]) == 0 {
		t.Fatal("nothing imports crypto/rand, so nothing was read")
	}
	return imports
}

func sourceFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() && (slices.Contains([]string{"test", "tools", "examples"}, name) || d.Name() == "testdata" || name != "." && strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}
