package ui

import (
	"fmt"
	"time"
)

// moment is a time for people and for machines.
type moment struct {
	Machine  string // for <time datetime>
	Absolute string // "23 November 2026, 09:14 UTC"
	Relative string // "2 hours ago"; empty without a now to count from
}

func (c catalogue) moment(t, now time.Time) moment {
	t = t.UTC()
	month, _ := c.text(fmt.Sprintf("time.month.%d", int(t.Month())))
	absolute, _ := c.text("time.absolute", t.Day(), month, t.Year(), t.Format("15:04"))
	m := moment{Machine: t.Format(time.RFC3339), Absolute: absolute}
	if !now.IsZero() {
		m.Relative = c.relative(now.Sub(t))
	}
	return m
}

// relative says how long ago something was, rounded down. What a clock that
// runs ahead puts into the future was just now.
func (c catalogue) relative(ago time.Duration) string {
	unit, n := "", 0
	switch {
	case ago < time.Minute:
		text, _ := c.text("time.now")
		return text
	case ago < time.Hour:
		unit, n = "minute", int(ago/time.Minute)
	case ago < 24*time.Hour:
		unit, n = "hour", int(ago/time.Hour)
	default:
		unit, n = "day", int(ago/(24*time.Hour))
	}
	form := "other"
	if n == 1 {
		form = "one"
	}
	text, _ := c.text("time."+unit+"."+form, n)
	return text
}
