package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// assetPrefix is where the assets are served.
const assetPrefix = "/assets/"

// asset is a file that pages load. Its path holds a hash of its content, so it
// can be kept for ever: another content is another path.
type asset struct {
	path    string // "/assets/app.0123456789abcdef.css"
	kind    string // content type
	etag    string
	content []byte
	gzipped []byte // nil if it does not pay
}

// assetKinds are exact: with nosniff, a browser takes nothing else.
var assetKinds = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// loadAssets reads the files of a folder by name.
func loadAssets(fsys fs.FS, folder string) (map[string]*asset, error) {
	entries, err := fs.ReadDir(fsys, folder)
	if err != nil {
		return nil, fmt.Errorf("read assets: %w", err)
	}
	assets := make(map[string]*asset, len(entries))
	for _, e := range entries {
		ext := path.Ext(e.Name())
		kind, ok := assetKinds[ext]
		if !ok {
			return nil, fmt.Errorf("asset %s: no content type for %q", e.Name(), ext)
		}
		content, err := fs.ReadFile(fsys, path.Join(folder, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read asset: %w", err)
		}
		sum := sha256.Sum256(content)
		hash := hex.EncodeToString(sum[:8])
		assets[e.Name()] = &asset{
			path:    assetPrefix + strings.TrimSuffix(e.Name(), ext) + "." + hash + ext,
			kind:    kind,
			etag:    hash,
			content: content,
			gzipped: compress(content),
		}
	}
	return assets, nil
}

// compress is the gzip form, or nil if that saves less than a tenth.
func compress(content []byte) []byte {
	var b bytes.Buffer
	// Neither the level nor a buffer can fail.
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	_, _ = z.Write(content)
	_ = z.Close()
	if b.Len() > len(content)*9/10 {
		return nil
	}
	return b.Bytes()
}

// Favicon is the mark of Gatehouse as an SVG image, for /favicon.ico and the
// like. The caller must not change it.
func (u *UI) Favicon() []byte { return u.assets["mark.svg"].content }

// Assets serves what pages load, under /assets/. The paths are those that the
// template function asset gives; their content never changes, and the answers
// say so (Cache-Control: immutable). Everything else is 404, a folder included,
// and a method other than GET and HEAD is 405.
func (u *UI) Assets() http.Handler {
	byPath := make(map[string]*asset, len(u.assets))
	for _, a := range u.assets {
		byPath[a.path] = a
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := byPath[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		a.serve(w, r)
	})
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	content, etag := a.content, `"`+a.etag+`"`
	if a.gzipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Values("Accept-Encoding")) {
			// A strong ETag names the bytes (RFC 9110, section 8.8.1), so the
			// two forms have one each.
			content, etag = a.gzipped, `"`+a.etag+`-gzip"`
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("ETag", etag)
	h.Set("X-Content-Type-Options", "nosniff")
	if matches(r.Header.Values("If-None-Match"), etag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", a.kind)
	h.Set("Content-Length", strconv.Itoa(len(content)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(content) // a client that has gone away is nobody's concern
}

// acceptsGzip reports whether the client takes gzip (RFC 9110, section 12.5.3):
// it names it, or everything, and not with a weight of zero.
func acceptsGzip(headers []string) bool {
	anything := false
	for _, h := range headers {
		for part := range strings.SplitSeq(h, ",") {
			coding, params, _ := strings.Cut(part, ";")
			coding = strings.ToLower(strings.TrimSpace(coding))
			if coding != "gzip" && coding != "x-gzip" && coding != "*" {
				continue
			}
			ok := true
			if q, is := strings.CutPrefix(strings.ToLower(strings.TrimSpace(params)), "q="); is {
				weight, err := strconv.ParseFloat(q, 64)
				ok = err == nil && weight > 0
			}
			if coding != "*" {
				return ok
			}
			anything = ok
		}
	}
	return anything
}

// matches compares weakly, as If-None-Match asks (RFC 9110, section 13.1.2).
func matches(headers []string, etag string) bool {
	for _, h := range headers {
		for part := range strings.SplitSeq(h, ",") {
			part = strings.TrimPrefix(strings.TrimSpace(part), "W/")
			if part == "*" || part == etag {
				return true
			}
		}
	}
	return false
}
