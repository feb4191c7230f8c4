package server

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse"
)

// Size is a number of bytes, written 19MiB or 64KiB.
type Size int64

// String is the size in the largest unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

var sizeUnits = []struct {
	name  string
	bytes Size
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// Limit is how often something may be tried, written "20 then every 10h": so many
// times at once, and then once in that time.
type Limit gatehouse.Limit

// String is the limit as it is written.
func (l Limit) String() string {
	return strconv.Itoa(l.Burst) + limitThen + formatDuration(l.Every)
}

const limitThen = " then every "

var errLimit = errors.New("must be a limit such as 20 then every 10h")

func parseLimit(text string) (Limit, error) {
	burst, every, ok := strings.Cut(strings.ToLower(text), limitThen)
	n, err := strconv.Atoi(burst)
	d, derr := ParseDuration(strings.TrimSpace(every))
	if !ok || err != nil || derr != nil {
		return Limit{}, errLimit
	}
	if n < 1 || n > 1_000_000 || d < time.Millisecond || d > 366*24*time.Hour || d%time.Millisecond != 0 {
		return Limit{}, errors.New("must be from 1 to 1000000 at once, and then every 1ms to 366d")
	}
	return Limit{n, d}, nil
}

// setting is one field of Settings, as its tags describe it.
type setting struct {
	name    string // access-token-lifetime
	group   string
	help    string
	cost    string
	preset  string
	def     string
	is      string
	choices []string
	min     string
	max     string
	own     bool // each instance on a database may have another
	field   int
	typ     reflect.Type
}

// table lists the settings in the order of the struct.
var table = describe()

func describe() []setting {
	var list []setting
	for f := range reflect.TypeFor[Settings]().Fields() {
		s := setting{
			name: f.Tag.Get("name"), group: f.Tag.Get("group"), help: f.Tag.Get("help"),
			cost: f.Tag.Get("cost"), preset: f.Tag.Get("preset"), def: f.Tag.Get("default"),
			is: f.Tag.Get("is"), min: f.Tag.Get("min"), max: f.Tag.Get("max"),
			own:   f.Tag.Get("own") == "true",
			field: f.Index[0], typ: f.Type,
		}
		if c := f.Tag.Get("choices"); c != "" {
			s.choices = strings.Split(c, ",")
		}
		list = append(list, s)
	}
	return list
}

func settingNamed(name string) (setting, bool) {
	for _, s := range table {
		if s.name == name {
			return s, true
		}
	}
	return setting{}, false
}

func (s setting) variable() string {
	return "GATEHOUSE_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}
func (s setting) key() string  { return strings.ReplaceAll(s.name, "-", "_") }
func (s setting) flag() string { return "--" + s.name }

func (s setting) secret() bool { return s.typ == reflect.TypeFor[gatehouse.Secret]() }

// in is the value of the setting.
func (s setting) in(all *Settings) reflect.Value { return reflect.ValueOf(all).Elem().Field(s.field) }

// kind is the type in words, for people.
func (s setting) kind() string {
	switch {
	case s.secret():
		return "secret"
	case len(s.choices) > 0:
		return strings.Join(s.choices, ", ")
	case s.is != "":
		return s.is
	}
	switch s.typ {
	case reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[Size]():
		return "size"
	case reflect.TypeFor[Limit]():
		return "limit"
	case reflect.TypeFor[[]netip.Prefix]():
		return "addresses and networks"
	case reflect.TypeFor[[]string]():
		return "words"
	case reflect.TypeFor[bool]():
		return "true or false"
	case reflect.TypeFor[int]():
		return "number"
	}
	return "text"
}

// set parses text into the field of all. The error is a sentence without the
// value, for the value may be a secret in the wrong place.
func (s setting) set(all *Settings, text string) error {
	v, err := s.parse(text)
	if err != nil {
		return err
	}
	if s.min != "" {
		low, _ := s.parse(s.min)
		high, _ := s.parse(s.max)
		if n := v.Int(); n < low.Int() || n > high.Int() {
			return fmt.Errorf("must be from %s to %s", s.min, s.max)
		}
	}
	s.in(all).Set(v)
	return nil
}

func (s setting) parse(text string) (reflect.Value, error) {
	if !s.secret() {
		if err := plain(text); err != nil {
			return reflect.Value{}, err
		}
		text = strings.TrimSpace(text)
	}
	v, err := s.value(text)
	if err != nil {
		return reflect.Value{}, err
	}
	return reflect.ValueOf(v), nil
}

func (s setting) value(text string) (any, error) {
	switch s.typ {
	case reflect.TypeFor[gatehouse.Secret]():
		return gatehouse.NewSecret([]byte(text)), nil
	case reflect.TypeFor[time.Duration]():
		return ParseDuration(text)
	case reflect.TypeFor[Size]():
		return parseSize(text)
	case reflect.TypeFor[Limit]():
		return parseLimit(text)
	case reflect.TypeFor[[]netip.Prefix]():
		return parseNetworks(text)
	case reflect.TypeFor[[]string]():
		return parseWords(text), nil
	case reflect.TypeFor[bool]():
		return parseBool(text)
	case reflect.TypeFor[int]():
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, errors.New("must be a whole number")
		}
		return n, nil
	}
	return s.text(text)
}

// text is a string setting; a choice is taken in any case and kept in ours.
func (s setting) text(text string) (string, error) {
	if len(s.choices) == 0 || text == "" && s.def == "" {
		return text, nil
	}
	for _, c := range s.choices {
		if strings.EqualFold(c, text) {
			return c, nil
		}
	}
	hint := ""
	if c := nearest(strings.ToLower(text), s.choices); c != "" {
		hint = "; did you mean " + c + "?"
	}
	return "", fmt.Errorf("must be one of %s%s", strings.Join(s.choices, ", "), hint)
}

// plain refuses what has no business in a setting and could forge lines where
// settings are printed.
func plain(text string) error {
	if !utf8.ValidString(text) {
		return errors.New("must be UTF-8")
	}
	if len(text) > 4096 {
		return errors.New("must not be longer than 4096 bytes")
	}
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.C, r) }) {
		return errors.New("must not contain line breaks or other control characters")
	}
	return nil
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, errors.New("must be true or false")
}

var errDuration = errors.New("must be a duration such as 30s, 15m, 12h or 7d")

// ParseDuration is time.ParseDuration with days of 24 hours before the rest, and
// without what is negative.
func ParseDuration(text string) (time.Duration, error) {
	var days time.Duration
	if head, rest, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(head, 10, 32)
		if err != nil || n > 36500 {
			return 0, errDuration
		}
		days, text = time.Duration(n)*24*time.Hour, rest
		if text == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > math.MaxInt64-days {
		return 0, errDuration
	}
	return days + d, nil
}

// formatDuration is the shortest way to write d that ParseDuration reads.
func formatDuration(d time.Duration) string {
	days, rest := d/(24*time.Hour), d%(24*time.Hour)
	if days > 0 && rest == 0 {
		return strconv.FormatInt(int64(days), 10) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

var errSize = errors.New("must be a size such as 19MiB or 64KiB")

func parseSize(text string) (Size, error) {
	for _, u := range sizeUnits {
		if head, ok := strings.CutSuffix(strings.ToLower(text), strings.ToLower(u.name)); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(head), 10, 64)
			if err != nil || n < 0 || n > math.MaxInt64/int64(u.bytes) {
				return 0, errSize
			}
			return Size(n) * u.bytes, nil
		}
	}
	return 0, errSize
}

// parseNetworks reads addresses and networks, separated by commas or spaces.
func parseNetworks(text string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for field := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		p, err := netip.ParsePrefix(field)
		if err != nil {
			a, aerr := netip.ParseAddr(field)
			if aerr != nil || a.Zone() != "" {
				return nil, errors.New("must be addresses or networks such as 10.0.0.0/8 or 192.0.2.7, separated by commas")
			}
			a = a.Unmap()
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p.Addr().Is4In6() {
			return nil, errors.New("must write IPv4 networks as IPv4, without the ::ffff: before it")
		}
		if p != p.Masked() {
			return nil, fmt.Errorf("has a network with bits beyond its mask; %s is the network", p.Masked())
		}
		list = append(list, p)
	}
	return list, nil
}

// parseWords reads words, or several that belong together, separated by commas.
func parseWords(text string) []string {
	var list []string
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			list = append(list, word)
		}
	}
	return list
}

// format is the value for people to read; a secret says only that it is there.
func (s setting) format(all *Settings) string {
	switch v := s.in(all).Interface().(type) {
	case gatehouse.Secret:
		if v.Len() == 0 {
			return ""
		}
		return "[hidden]"
	case time.Duration:
		return formatDuration(v)
	case []netip.Prefix:
		names := make([]string, len(v))
		for i, p := range v {
			names[i] = p.String()
		}
		return strings.Join(names, ", ")
	case []string:
		return strings.Join(v, ", ")
	default:
		return fmt.Sprint(v)
	}
}
