package server

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"
)

// logLines is how many lines may wait for a log that does not take them.
const logLines = 1024

// logWriter hands lines to a sink without ever waiting for it: logging in must
// go on when nobody reads the log or its disk is full. Lines that find no room
// are counted, and the count is logged as soon as there is room again.
type logWriter struct {
	lines   chan []byte
	dropped atomic.Int64
	quit    chan struct{}
	done    chan struct{}
	once    sync.Once
}

func newLogWriter(sink io.Writer, lost func(n int64) []byte) *logWriter {
	w := &logWriter{lines: make(chan []byte, logLines), quit: make(chan struct{}), done: make(chan struct{})}
	go w.run(sink, lost)
	return w
}

// Write takes a line; it always succeeds.
func (w *logWriter) Write(line []byte) (int, error) {
	select {
	case w.lines <- append([]byte(nil), line...):
	default:
		w.dropped.Add(1)
	}
	return len(line), nil
}

func (w *logWriter) run(sink io.Writer, lost func(n int64) []byte) {
	defer close(w.done)
	write := func(line []byte) {
		if _, err := sink.Write(line); err != nil {
			w.dropped.Add(1) // a full disk; the next line is another try
			return
		}
		if n := w.dropped.Swap(0); n > 0 {
			if _, err := sink.Write(lost(n)); err != nil {
				w.dropped.Add(n)
			}
		}
	}
	for {
		select {
		case line := <-w.lines:
			write(line)
		case <-w.quit:
			for {
				select {
				case line := <-w.lines:
					write(line)
				default:
					return
				}
			}
		}
	}
}

// Close writes what waits, for as long as patience lasts.
func (w *logWriter) Close(patience time.Duration) {
	w.once.Do(func() { close(w.quit) })
	select {
	case <-w.done:
	case <-time.After(patience):
	}
}

// newLog is the log of the service on sink: text or JSON, a line per entry,
// times in UTC, and nothing in it that could forge a line or steer a terminal.
func newLog(sink io.Writer, level, format string, terminal bool) (*slog.Logger, *logWriter) {
	var least slog.Level
	_ = least.UnmarshalText([]byte(level)) // one of the choices of the setting
	options := &slog.HandlerOptions{Level: least, ReplaceAttr: cleanAttr}
	handler := func(w io.Writer) slog.Handler {
		if format == "text" || format == "auto" && terminal {
			return slog.NewTextHandler(w, options)
		}
		return slog.NewJSONHandler(w, options)
	}
	w := newLogWriter(sink, func(n int64) []byte {
		var b strings.Builder
		slog.New(handler(&b)).Warn("log lines were dropped, because the log did not take them in time", "count", n)
		return []byte(b.String())
	})
	return slog.New(handler(w)), w
}

func cleanAttr(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindTime:
		a.Value = slog.StringValue(a.Value.Time().UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	case slog.KindString:
		a.Value = slog.StringValue(forLog(a.Value.String()))
	case slog.KindAny:
		switch v := a.Value.Any().(type) {
		case error:
			a.Value = slog.StringValue(forLog(v.Error()))
		case *slog.Source, slog.Level:
		default:
			a.Value = slog.StringValue(forLog(fmt.Sprint(v)))
		}
	}
	return a
}

// mostLogged is how much of one value is logged, in bytes: a stack fits.
const mostLogged = 16 << 10

// forLog leaves line breaks and tabs to the handlers, which escape them.
func forLog(s string) string {
	if len(s) > mostLogged {
		s = s[:mostLogged] + "…"
	}
	return escape(s, "\n\t")
}

// Printable is s as a part of a line on a terminal: what does not print, such as
// line breaks, control characters and what turns the direction of text around,
// is written as an escape.
func Printable(s string) string { return escape(s, "") }

func escape(s, keep string) string {
	odd := func(r rune) bool {
		return r == utf8.RuneError || r != ' ' && !unicode.IsGraphic(r) && !strings.ContainsRune(keep, r)
	}
	if !strings.ContainsFunc(s, odd) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if odd(r) {
			fmt.Fprintf(&b, "\\u{%x}", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
