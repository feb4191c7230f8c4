package ui_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/web/ui"
)

// paths are the assets that a page asks for, by extension.
func paths(t *testing.T, u *ui.UI) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, p := range regexp.MustCompile(`/assets/[a-z]+\.[0-9a-f]{16}\.([a-z]+)`).FindAllStringSubmatch(render(t, u, "login", &ui.Page{}), -1) {
		found[p[1]] = p[0]
	}
	if len(found) != 3 {
		t.Fatalf("a page asks for %v, want a style sheet, a script and an icon", found)
	}
	return found
}

func get(u *ui.UI, method, path string, header ...string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	u.Assets().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAssets(t *testing.T) {
	u := newUI(t, ui.Config{})
	kinds := map[string]string{"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
	for ext, path := range paths(t, u) {
		r := get(u, "GET", path)
		plain := body(t, r)
		sum := sha256.Sum256(plain)
		if hash := hex.EncodeToString(sum[:8]); !strings.Contains(path, "."+hash+".") {
			t.Errorf("%s is not named by its content (%s)", path, hash)
		}
		if r.StatusCode != http.StatusOK || len(plain) == 0 {
			t.Errorf("%s: status %d, %d bytes", path, r.StatusCode, len(plain))
		}
		for key, want := range map[string]string{
			"Content-Type": kinds[ext], "Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff",
			"Content-Length": strconv.Itoa(len(plain)), "Content-Encoding": "",
		} {
			if got := r.Header.Get(key); got != want {
				t.Errorf("%s: %s is %q, want %q", path, key, got, want)
			}
		}

		z := get(u, "GET", path, "Accept-Encoding", "br, gzip")
		small := body(t, z)
		if z.Header.Get("Content-Encoding") == "gzip" {
			if len(small) >= len(plain) || z.Header.Get("Content-Length") != strconv.Itoa(len(small)) || z.Header.Get("ETag") == r.Header.Get("ETag") {
				t.Errorf("%s: gzip of %d bytes is %d, said to be %s, ETag %s", path, len(plain), len(small), z.Header.Get("Content-Length"), z.Header.Get("ETag"))
			}
			reader, err := gzip.NewReader(bytes.NewReader(small))
			if err != nil {
				t.Fatal(err)
			}
			if unpacked, err := io.ReadAll(reader); err != nil || !bytes.Equal(unpacked, plain) {
				t.Errorf("%s: gzip holds something else (%v)", path, err)
			}
			if r.Header.Get("Vary") != "Accept-Encoding" || z.Header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s: caches are not told that there are two forms", path)
			}
		} else if ext == "css" || ext == "js" {
			t.Errorf("%s is not compressed", path)
		}

		for _, accept := range []string{"", "gzip"} {
			etag := get(u, "GET", path, "Accept-Encoding", accept).Header.Get("ETag")
			for _, match := range []string{etag, "W/" + etag, `"other", ` + etag, "*"} {
				r := get(u, "GET", path, "Accept-Encoding", accept, "If-None-Match", match)
				if b := body(t, r); r.StatusCode != http.StatusNotModified || len(b) != 0 || r.Header.Get("ETag") != etag {
					t.Errorf("%s, If-None-Match %s: status %d, %d bytes", path, match, r.StatusCode, len(b))
				}
			}
			if r := get(u, "GET", path, "Accept-Encoding", accept, "If-None-Match", `"other"`); r.StatusCode != http.StatusOK {
				t.Errorf("%s, another ETag: status %d", path, r.StatusCode)
			}
		}

		head := get(u, "HEAD", path)
		if b := body(t, head); head.StatusCode != http.StatusOK || len(b) != 0 || head.Header.Get("Content-Length") != strconv.Itoa(len(plain)) {
			t.Errorf("HEAD %s: status %d, %d bytes", path, head.StatusCode, len(b))
		}
		if r := get(u, "POST", path); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: status %d, Allow %q", path, r.StatusCode, r.Header.Get("Allow"))
		}
	}
}

func TestNothingElseIsServed(t *testing.T) {
	u := newUI(t, ui.Config{})
	css := paths(t, u)["css"]
	for _, path := range []string{
		"/assets/", "/assets", "/", "/assets/app.css", "/assets/app.0000000000000000.css", strings.TrimSuffix(css, ".css"),
		css + "/", css + ".gz", "/assets/" + css, "/assets/../templates/login.html", "/assets/%2e%2e/ui.go", strings.ToUpper(css),
	} {
		if r := get(u, "GET", path); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", path, r.StatusCode)
		}
	}
}

func TestAcceptEncoding(t *testing.T) {
	u := newUI(t, ui.Config{})
	css := paths(t, u)["css"]
	for accept, want := range map[string]string{
		"gzip": "gzip", "GZIP;q=0.5": "gzip", "deflate, gzip;q=1.0, *;q=0.5": "gzip", "*": "gzip", "x-gzip": "gzip",
		"": "", "br": "", "identity": "", "gzip;q=0": "", "gzip; q=0.000": "", "*;q=0": "", "gzip;q=0, *": "", "*, gzip;q=0": "", "gzip;q=none": "", "notgzip": "",
	} {
		if got := get(u, "GET", css, "Accept-Encoding", accept).Header.Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q: got %q, want %q", accept, got, want)
		}
	}
}

func TestFavicon(t *testing.T) {
	u := newUI(t, ui.Config{})
	icon := u.Favicon()
	if !bytes.Equal(icon, body(t, get(u, "GET", paths(t, u)["svg"]))) {
		t.Error("the icon is another than that of the pages")
	}
	d := xml.NewDecoder(bytes.NewReader(icon))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("not well formed: %v", err)
		}
		if e, ok := token.(xml.StartElement); ok && !slices.Contains([]string{"svg", "rect", "path"}, e.Name.Local) {
			t.Errorf("a drawing with <%s>", e.Name.Local)
		}
	}
}

// The script makes no markup out of text, and goes by ids and not by names that
// an element of the page could take.
func TestScriptIsHarmless(t *testing.T) {
	script, err := os.ReadFile("assets/app.js")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(script), "'use strict'") {
		t.Error("not strict")
	}
	for _, never := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "Function(", "document.write", "fetch(", "XMLHttpRequest", "localStorage", "cookie", ".style", "http:", "https:"} {
		if strings.Contains(string(script), never) {
			t.Errorf("uses %s", never)
		}
	}
	for _, use := range regexp.MustCompile(`document\.(\w+)`).FindAllStringSubmatch(string(script), -1) {
		if !slices.Contains([]string{"getElementById", "querySelectorAll", "createElement"}, use[1]) {
			t.Errorf("uses document.%s", use[1])
		}
	}
}

func TestStyleSheetLoadsNothing(t *testing.T) {
	css, err := os.ReadFile("assets/app.css")
	if err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{"url(", "@import", "expression("} {
		if strings.Contains(string(css), never) {
			t.Errorf("holds %s", never)
		}
	}
	if len(css) > 24<<10 {
		t.Errorf("%d bytes, more than anybody needs", len(css))
	}
	for _, must := range []string{"prefers-color-scheme:dark", "forced-colors:active"} {
		if !strings.Contains(string(css), must) {
			t.Errorf("knows nothing of %s", must)
		}
	}
}
