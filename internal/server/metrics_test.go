package server

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

func exampleStats() gatehouse.Stats {
	h := gatehouse.Histogram{Bounds: []time.Duration{time.Millisecond, time.Second}, Counts: []uint64{3, 2, 1}, Sum: 4500 * time.Millisecond}
	return gatehouse.Stats{
		Hashing: gatehouse.HashingStats{
			Workers: 2, Running: 1, WaitingKnown: 3, WaitingStrangers: 40, MemoryHeld: 19 << 20, MemoryBudget: 64 << 20,
			Done: 6, Refused: 7, WaitTime: h, HashTime: h,
		},
		Events:  map[gatehouse.EventCount]uint64{{Kind: "login", Outcome: "ok"}: 5},
		Limited: map[string]uint64{"login-user": 9},
	}
}

func TestMetrics(t *testing.T) {
	w := httptest.NewRecorder()
	metricsHandler(exampleStats).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		"gatehouse_hash_workers 2", "gatehouse_hash_running 1", `gatehouse_hash_waiting{lane="known"} 3`, `gatehouse_hash_waiting{lane="strangers"} 40`,
		"gatehouse_hash_memory_bytes 1.9922944e+07", "gatehouse_hash_refused_total 7",
		`gatehouse_hash_wait_seconds_bucket{le="0.001"} 3`, `gatehouse_hash_wait_seconds_bucket{le="1"} 5`, `gatehouse_hash_wait_seconds_bucket{le="+Inf"} 6`,
		"gatehouse_hash_seconds_sum 4.5", "gatehouse_hash_seconds_count 6",
		`gatehouse_events_total{kind="login",outcome="ok"} 5`, `gatehouse_limited_total{limit="login-user"} 9`, "go_goroutines ",
	} {
		if !strings.Contains(w.Body.String(), want+"") {
			t.Errorf("there is no %s in:\n%s", want, w.Body)
		}
	}
	// Each of ours is in the documentation, under its name.
	docs, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`# TYPE (gatehouse_\w+)`).FindAllStringSubmatch(w.Body.String(), -1) {
		if !strings.Contains(string(docs), "`"+m[1]+"`") {
			t.Errorf("docs/operations.md does not describe %s", m[1])
		}
	}
}

// The metrics have an address of their own, and end with the service.
func TestMetricsListener(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	log := &lineLog{found: make(chan string, 1)}
	wait, err := serveMetrics(ctx, "127.0.0.1:0", exampleStats, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	url := <-log.found
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.StatusCode != 200 || !strings.Contains(string(body), "gatehouse_hash_workers 2") {
		t.Errorf("%s: %d %s", url, res.StatusCode, body)
	}
	cancel()
	wait()
	if _, err := http.Get(url); err == nil {
		t.Error("answered after the end")
	}
	if wait, err := serveMetrics(t.Context(), "", nil, nil); err != nil {
		t.Error(err)
	} else {
		wait()
	}
}

// lineLog finds the address in what is logged.
type lineLog struct{ found chan string }

func (l *lineLog) Write(p []byte) (int, error) {
	if m := regexp.MustCompile(`http://[^ "]+/metrics`).Find(p); m != nil {
		l.found <- string(m)
	}
	return len(p), nil
}
