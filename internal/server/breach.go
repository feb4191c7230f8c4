package server

import (
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"

	"golang.org/x/net/idna"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/breach"
)

// breachLists are those of the settings.
type breachLists struct {
	all  []gatehouse.BreachList
	file *breach.File
}

// breachLists opens what is set: the file first, which answers sooner.
func (s *Settings) breachLists(log *slog.Logger) (*breachLists, error) {
	b := &breachLists{}
	if s.BreachFile != "" {
		file, err := breach.Open(s.BreachFile)
		if err != nil {
			return nil, fmt.Errorf("breach file: %w", err)
		}
		b.file, b.all = file, append(b.all, file)
	}
	if s.BreachRangeURL != "" {
		service, err := breach.NewRange(breach.RangeConfig{URL: s.BreachRangeURL})
		if err != nil {
			return nil, fmt.Errorf("breach range URL: %w", err) // Load has refused it
		}
		if s.BreachRangeAway == "accept" {
			b.all = append(b.all, breach.Lenient{List: service, Log: log})
		} else {
			b.all = append(b.all, service)
		}
	}
	return b, nil
}

func (b *breachLists) Close() error {
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}

// contextWords are the words that everybody connects with this site: its name,
// its host in both spellings, ours, and those of the settings.
func (s *Settings) contextWords() []string {
	words := append(slices.Clone(s.ContextWords), s.SiteName, "Gatehouse")
	u, err := url.Parse(s.URL)
	if err != nil || u.Hostname() == "" {
		return words
	}
	host := u.Hostname()
	if _, err := netip.ParseAddr(host); err == nil {
		return words // a number is nothing that people think of
	}
	words = append(words, host)
	if spelled, err := idna.ToUnicode(host); err == nil && spelled != host {
		words = append(words, spelled)
	}
	return words
}
