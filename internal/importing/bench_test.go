package importing

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/sqlite"
)

// BenchmarkImport is a record from the file into SQLite, and without the store.
func BenchmarkImport(b *testing.B) {
	export := func(b *testing.B) File {
		var content strings.Builder
		for i := range b.N {
			fmt.Fprintf(&content, `{"_id":{"$oid":"%024x"},"name":"User %d","email":"User%d@Example.com","password":"$2b$10$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk.",`+
				`"role":"user","createdAt":{"$date":"2023-04-05T06:07:08.009Z"},"updatedAt":{"$date":"2023-04-05T06:07:08.009Z"},"__v":0}`+"\n", i, i, i)
		}
		return write(b, content.String())
	}
	run := func(b *testing.B, file File, sink Sink) {
		b.ResetTimer()
		r := Run{Source: file, Reader: &Reader{Format: mongoDB}, Sink: sink}
		if report, err := r.Do(b.Context()); err != nil || report.Added != b.N {
			b.Fatal(report, err)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	}
	b.Run("read", func(b *testing.B) {
		run(b, export(b), func(_ context.Context, users []*gatehouse.User) ([]gatehouse.Imported, error) {
			return make([]gatehouse.Imported, len(users)), nil
		})
	})
	b.Run("sqlite", func(b *testing.B) {
		store, err := sqlite.Open(filepath.Join(b.TempDir(), "gatehouse.db"), sqlite.Options{})
		if err != nil {
			b.Fatal(err)
		}
		defer store.Close()
		a := gatehousetest.New(b, gatehouse.Config{Store: store})
		in, err := a.BeginImport(b.Context(), "mongodb")
		if err != nil {
			b.Fatal(err)
		}
		run(b, export(b), in.Add)
	})
}
