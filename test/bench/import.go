package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// imports is how many users a second gatehouse import brings in, from an export of
// an application that keeps bcrypt hashes in MongoDB.
func (b *bench) imports(ctx context.Context, p *place, users int) (float64, error) {
	if err := os.MkdirAll(p.folder, 0o700); err != nil {
		return 0, err
	}
	instance, err := p.start(ctx, b.binary) // it makes the database
	if err != nil {
		return 0, err
	}
	instance.stop()
	file := filepath.Join(p.folder, "users.ndjson")
	if err := export(file, users); err != nil {
		return 0, err
	}
	binary, err := filepath.Abs(b.binary)
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, binary, "import", file, "--data", p.folder)
	cmd.Dir = p.folder
	cmd.Env = append(append(os.Environ(), "GATEHOUSE_SECRET="+secret), p.env...)
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("import: %w\n%s", err, out)
	}
	return float64(users) / time.Since(began).Seconds(), nil
}

func export(file string, users int) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for i := range users {
		fmt.Fprintf(w, `{"_id":{"$oid":"%024x"},"name":"User %d","email":"User%d@Example.com","password":"$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy","role":"user","createdAt":{"$date":"2024-05-01T10:00:00Z"},"updatedAt":{"$date":"2024-05-01T10:00:00Z"},"__v":0,"plan":"free"}`+"\n", i+1, i, i)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
