package importing

import (
	"math"
	"strconv"
	"strings"
	"time"

	json "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// text is a value as text: of a string, a number, a truth value, or of what
// MongoDB writes for its own types in Extended JSON. Of anything else it is empty.
func text(v jsontext.Value) string {
	switch v.Kind() {
	case '"':
		var s string
		if json.Unmarshal(v, &s) != nil {
			return ""
		}
		return s
	case '0', 't', 'f':
		return string(v)
	case '{':
		var typed struct {
			OID    string `json:"$oid"`
			Int    string `json:"$numberInt"`
			Long   string `json:"$numberLong"`
			Double string `json:"$numberDouble"`
			UUID   string `json:"$uuid"`
		}
		if json.Unmarshal(v, &typed) != nil {
			return ""
		}
		return typed.OID + typed.Int + typed.Long + typed.Double + typed.UUID
	}
	return ""
}

// truth reads yes and no as databases write them.
func truth(v jsontext.Value) (is, said bool) {
	switch strings.ToLower(text(v)) {
	case "true", "t", "1", "yes", "y":
		return true, true
	case "false", "f", "0", "no", "n":
		return false, true
	}
	return false, false
}

// texts is a list of texts: an array, JSON in a text, words with commas or, in
// braces, an array of PostgreSQL. A text is a list of one.
func texts(v jsontext.Value) []string {
	s := text(v)
	if v.Kind() == '[' || strings.HasPrefix(s, "[") {
		if v.Kind() != '[' {
			v = jsontext.Value(s)
		}
		var list []jsontext.Value
		if json.Unmarshal(v, &list) != nil {
			return nil
		}
		var all []string
		for _, v := range list {
			if s := text(v); s != "" {
				all = append(all, s)
			}
		}
		return all
	}
	if inner, ok := strings.CutPrefix(s, "{"); ok {
		s = strings.TrimSuffix(inner, "}")
	}
	var all []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.Trim(part, ` "`); part != "" {
			all = append(all, part)
		}
	}
	return all
}

// layouts are those of RFC 3339, PostgreSQL, MySQL, SQLite, Ruby and JavaScript.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999-07",
	"2006-01-02 15:04:05.999999999 -0700 MST", "2006-01-02 15:04:05.999999999 MST", "2006-01-02 15:04:05.999999999", time.DateOnly,
}

// moment reads a time: a text, seconds or milliseconds since 1970, or a date of
// Extended JSON. What is no time is the zero time.
func moment(v jsontext.Value) time.Time {
	if v.Kind() == '{' {
		var date struct {
			Date jsontext.Value `json:"$date"`
		}
		if json.Unmarshal(v, &date) == nil && len(date.Date) > 0 {
			return moment(date.Date)
		}
	}
	s := text(v)
	if s == "" || s[0] < '0' || s[0] > '9' {
		return time.Time{}
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil && n == n && n > 0 && n < 1e14 {
		if n > 1e11 { // seconds would be in the year 5138
			return time.UnixMilli(int64(n)).UTC()
		}
		whole, fraction := math.Modf(n)
		return time.Unix(int64(whole), int64(fraction*1e9)).UTC()
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
