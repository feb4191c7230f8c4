//go:build linux

package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/sqlite"
)

// silent is a mailer, which makes registration tell nobody what is taken.
type silent struct{}

func (silent) Send(context.Context, gatehouse.Notice) error { return nil }

// TestRegistrationTakesAsLong registers addresses that are free and one that is
// taken, 500 times each and in random order, with real hashes on a real file. The
// chance that one of a kind takes longer than one of the other must be near one
// half. It is no test of the binary, which has no mailer to tell the owner with.
func TestRegistrationTakesAsLong(t *testing.T) {
	store, err := sqlite.Open(filepath.Join(t.TempDir(), "gatehouse.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	g, err := gatehouse.New(gatehouse.Config{
		Store: store, Secret: gatehouse.NewSecret([]byte(rand.Text() + rand.Text())), Mailer: silent{},
		Limits: gatehouse.Limits{Register: gatehouse.Limit{Burst: 100_000, Every: time.Second}}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	ctx := gatehouse.WithClient(t.Context(), gatehouse.Client{Address: "203.0.113.7", UserAgent: "Test"})
	register := func(email string) time.Duration {
		began := time.Now()
		if _, err := g.Register(ctx, gatehouse.Registration{Email: email, Password: password}); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	const taken, samples = "taken@example.com", 500
	for range 20 { // the first is free, some lead to a notice, and all is warm
		register(taken)
	}
	order := make([]bool, 2*samples)
	for i := range samples {
		order[i] = true
	}
	mathrand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	var ofTaken, ofFree []time.Duration
	for i, again := range order {
		if again {
			ofTaken = append(ofTaken, register(taken))
		} else {
			ofFree = append(ofFree, register(fmt.Sprintf("free%d@example.com", i)))
		}
	}
	longer := 0
	for _, x := range ofTaken {
		for _, y := range ofFree {
			if x > y {
				longer++
			}
		}
	}
	auc := float64(longer) / (samples * samples)
	t.Logf("AUC %.3f", auc)
	if max(auc, 1-auc) >= 0.6 {
		t.Errorf("the time tells what is taken: AUC %.3f, want less than 0.6", auc)
	}
}
