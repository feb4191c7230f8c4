package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gatehouse-auth/gatehouse"
)

// serveMetrics answers /metrics on an address of its own until ctx is done, and
// returns when it has ended. Without an address it does nothing.
func serveMetrics(ctx context.Context, address string, stats func() gatehouse.Stats, log *slog.Logger) (wait func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	l, err := listen(ctx, address)
	if err != nil {
		return nil, err
	}
	log.Info("metrics", "address", "http://"+l.Addr().String()+"/metrics")
	srv := &http.Server{Handler: metricsHandler(stats), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Warn("metrics", "error", err)
		}
	}()
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	return func() {
		stop()
		_ = srv.Close()
		<-done
	}, nil
}

func metricsHandler(stats func() gatehouse.Stats) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{stats})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	return mux
}

// collector turns the numbers of the core into metrics whenever they are asked
// for. The names are promises: docs/operations.md lists them.
type collector struct{ stats func() gatehouse.Stats }

var (
	hashWorkers  = describeMetric("hash_workers", "Password hashes that can be computed at once.")
	hashRunning  = describeMetric("hash_running", "Password hashes that are being computed.")
	hashWaiting  = describeMetric("hash_waiting", "Passwords that wait to be hashed, from known devices and from others.", "lane")
	hashMemory   = describeMetric("hash_memory_bytes", "Memory that hashing holds.")
	hashBudget   = describeMetric("hash_memory_budget_bytes", "Memory that hashing may hold.")
	hashRefused  = describeMetric("hash_refused_total", "Requests that were answered 503 before any hashing, because the queue was full or too slow.")
	hashWait     = describeMetric("hash_wait_seconds", "Time that passwords waited to be hashed.")
	hashTime     = describeMetric("hash_seconds", "Time that hashing took.")
	eventsTotal  = describeMetric("events_total", "Events recorded in the audit log.", "kind", "outcome")
	limitedTotal = describeMetric("limited_total", "Tries that a limit refused.", "limit")
	staleness    = describeMetric("staleness_seconds", "How long a change in another process, such as the end of a session, may go unnoticed in this one.")
	listening    = describeMetric("hints_listening", "Whether hints of other processes arrive (1) or their changes are only read from the store (0).")
	hintsTotal   = describeMetric("hints_total", "Hints about changes: announced to other processes, heard of them, and dropped because they could not be sent.", "what")
	differ       = describeMetric("settings_differ", "Settings in which a process that started later, on the same database, differs from this one.")
	terminated   = describeMetric("terminated_sessions", "Sessions that this process refuses without asking the store.")
)

func describeMetric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("gatehouse_"+name, help, labels, nil)
}

// Describe implements [prometheus.Collector].
func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements [prometheus.Collector].
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.stats()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	h := s.Hashing
	gauge(hashWorkers, float64(h.Workers))
	gauge(hashRunning, float64(h.Running))
	gauge(hashWaiting, float64(h.WaitingKnown), "known")
	gauge(hashWaiting, float64(h.WaitingStrangers), "strangers")
	gauge(hashMemory, float64(h.MemoryHeld))
	gauge(hashBudget, float64(h.MemoryBudget))
	counter(hashRefused, h.Refused)
	ch <- histogramMetric(hashWait, h.WaitTime)
	ch <- histogramMetric(hashTime, h.HashTime)
	for e, n := range s.Events {
		counter(eventsTotal, n, e.Kind, e.Outcome)
	}
	for lane, n := range s.Limited {
		counter(limitedTotal, n, lane)
	}
	gauge(staleness, s.Hints.Staleness.Seconds())
	gauge(listening, map[bool]float64{true: 1}[s.Hints.Listening])
	counter(hintsTotal, s.Hints.Announced, "announced")
	counter(hintsTotal, s.Hints.Heard, "heard")
	counter(hintsTotal, s.Hints.Dropped, "dropped")
	gauge(differ, float64(len(s.Differ)))
	gauge(terminated, float64(s.Hints.Terminated))
}

func histogramMetric(d *prometheus.Desc, h gatehouse.Histogram) prometheus.Metric {
	upTo, n := map[float64]uint64{}, uint64(0)
	for i, count := range h.Counts {
		n += count
		if i < len(h.Bounds) {
			upTo[h.Bounds[i].Seconds()] = n
		}
	}
	return prometheus.MustNewConstHistogram(d, n, h.Sum.Seconds(), upTo)
}
