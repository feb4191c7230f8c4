package gatehouse_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gatehouse-auth/gatehouse"

// rooms are all packages of the module, and which others of it each may import.
// A row that ends in "/..." is for all below it. The arrows point one way: cmd →
// internal/cli → internal/server → web and the stores → gatehouse → leaves. To
// change this table is a decision about the design.
var rooms = []struct {
	room string
	may  []string
	why  string
}{
	{"", []string{"internal/cache", "internal/expiring", "internal/guessable", "internal/hashing", "internal/limit"},
		"it decides everything and does no I/O, so it needs leaves that compute, and neither a store nor HTTP"},
	{"breach", nil, "lists of leaked passwords, which leave the process and therefore stay outside of the core: it has an interface for them"},
	{"internal/argon2", nil, "a leaf: one function, in memory that is kept for the next call"},
	{"internal/cache", nil, "a leaf: it can be described without the word user"},
	{"internal/expiring", nil, "a leaf: it can be described without the word user"},
	{"internal/guessable", nil, "a leaf: whether a text is one that anybody would try"},
	{"internal/hashing", []string{"internal/argon2"}, "a leaf: it can be described without the word user; what it hands out is computed below it"},
	{"internal/importing", []string{"", "internal/reach"}, "it reads what other systems have exported, and makes users of it; the core decides who of them comes in"},
	{"internal/limit", nil, "a leaf: it can be described without the word user"},
	{"internal/reach", nil, "a leaf: errors of a driver in words, for whoever connects with it"},
	{"internal/archive", []string{""}, "a file with the records of the port in it, whichever store they are of"},
	{"internal/sqlstore", []string{""}, "it keeps the records of the port in SQL, whichever the engine"},
	{"store/memory", []string{""}, "a store keeps records and decides nothing"},
	{"store/postgres", []string{"", "internal/sqlstore"}, "an engine, around the SQL that all engines share"},
	{"store/sqlite", []string{"", "internal/sqlstore"}, "an engine, around the SQL that all engines share"},
	{"store/mongo", []string{"", "internal/reach"}, "an engine of its own kind: it shares no SQL"},
	{"store/redis", []string{""}, "a store in front of another, and a limiter: the port is all it needs of either"},
	{"store/storetest", []string{""}, "it holds any store to the port, and knows none of them"},
	{"gatehousetest", []string{"", "store/memory"}, "tests of other programs: a Gatehouse in memory, without a web"},
	{"web", []string{"", "web/ui"}, "it speaks HTTP for the core, on whichever store"},
	{"web/ui", nil, "pages and words: what is shown is handed to it, so it needs to know nobody"},
	{"internal/server", []string{"", "breach", "store/memory", "store/mongo", "store/postgres", "store/redis", "store/sqlite", "web", "web/ui"},
		"it makes a running service of settings, so it is where stores and web meet"},
	{"internal/cli", []string{"", "breach", "internal/archive", "internal/argon2", "internal/importing", "internal/server", "store/mongo", "store/sqlite", "web"},
		"commands of an operator, on what the server opens; bench measures the hash itself"},
	{"cmd/gatehouse", []string{"internal/cli"}, "main is a few lines: everything can be tested without it"},
	{"examples/...", []string{"", "store/memory", "store/sqlite", "web", "gatehousetest"}, "programs of others: they use what is public"},
	{"tools/passwords", []string{"internal/guessable"}, "it makes the list of common passwords in the form in which that package looks them up"},
	{"test/attack/prove", []string{"test/attack/weaken"}, "it builds what the mutations make weak, and lets the attacks at it"},
	{"test/...", []string{"", "internal/argon2", "internal/expiring", "store/memory", "store/mongo", "store/postgres", "store/redis", "store/sqlite", "test/service", "web"}, "they measure and try the finished programs from outside; the bare hash is what logins are measured by"},
}

// heart is what the core must not import, however handy.
var heart = map[string]string{
	"net/http":      "it would speak HTTP; web does",
	"database/sql":  "it would talk to a database; stores do",
	"html/template": "it would make pages; web/ui does",
	"os":            "it would read files and the environment; the server does",
	"flag":          "it would read a command line; the cli does",
	"net":           "it does no I/O",
	"io/fs":         "it does no I/O",
	"embed":         "it carries no files",
}

type listed struct {
	ImportPath string
	Imports    []string
	GoFiles    []string
}

func goList(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Imports,GoFiles"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

// within is the path inside of the module: "" for the core.
func within(path string) (room string, ours bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

func TestImports(t *testing.T) {
	used := make([]bool, len(rooms))
	for _, p := range goList(t, "./...") {
		room, _ := within(p.ImportPath)
		row := slices.IndexFunc(rooms, func(r struct {
			room string
			may  []string
			why  string
		}) bool {
			above, all := strings.CutSuffix(r.room, "...")
			return r.room == room || all && strings.HasPrefix(room, above)
		})
		if row < 0 {
			t.Errorf("%s is not in the table: who may it import, and why?", p.ImportPath)
			continue
		}
		used[row] = true
		for _, imported := range p.Imports {
			if other, ours := within(imported); ours && !slices.Contains(rooms[row].may, other) {
				t.Errorf("%s imports %s, and may only import %q: %s", p.ImportPath, imported, rooms[row].may, rooms[row].why)
			}
			if why := heart[imported]; room == "" && why != "" {
				t.Errorf("the core imports %s: %s", imported, why)
			}
		}
	}
	for i, r := range rooms {
		if !used[i] {
			t.Errorf("%s is in the table, and does not exist", r.room)
		}
		if r.why == "" {
			t.Errorf("%s is in the table without a reason", r.room)
		}
	}
}

// A program that imports the core alone, with a store of its own, links neither
// a database nor a server.
func TestTheCoreIsLight(t *testing.T) {
	deps := goList(t, "-deps", module) // what any program links that imports it
	if !slices.ContainsFunc(deps, func(p listed) bool { return p.ImportPath == module+"/internal/hashing" }) {
		t.Fatal("the list lacks what the core does import, so it tests nothing")
	}
	// Of database/sql the ids link the interfaces of its driver package, which
	// are a few types.
	heavy := []string{"database/sql", "net/http", "html/template", "testing", "flag"}
	heavyUnder := []string{"modernc.org/", "go.mongodb.org/", "github.com/alecthomas/", "github.com/goccy/", module + "/store/", module + "/web", module + "/internal/server", module + "/internal/sqlstore"}
	for _, p := range deps {
		if slices.Contains(heavy, p.ImportPath) ||
			slices.ContainsFunc(heavyUnder, func(prefix string) bool { return strings.HasPrefix(p.ImportPath, prefix) }) {
			t.Errorf("a program that imports only the core links %s", p.ImportPath)
		}
	}
}
