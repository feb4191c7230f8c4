package gatehouse

import (
	"bytes"
	"encoding/binary"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// decanonical is the event that has this canonical form. That there is such a
// function is why two events never share one.
func decanonical(t interface{ Fatalf(string, ...any) }, b []byte) *Event {
	text := func() string {
		n, size := binary.Uvarint(b)
		if size <= 0 || uint64(len(b)-size) < n {
			t.Fatalf("a length of %d with %d bytes left", n, len(b))
		}
		s := string(b[size : size+int(n)])
		b = b[size+int(n):]
		return s
	}
	number := func() int64 {
		n := int64(binary.BigEndian.Uint64(b))
		b = b[8:]
		return n
	}
	text()
	e := &Event{Chain: text(), Sequence: number(), ID: text(), At: time.UnixMilli(number()).UTC(), ExpiresAt: time.UnixMilli(number()).UTC()}
	for _, s := range []*string{&e.Kind, &e.Outcome, &e.UserID, &e.ActorID, &e.SessionID, &e.Address, &e.UserAgent, &e.Ref} {
		*s = text()
	}
	for range number() {
		if e.Data == nil {
			e.Data = map[string]string{}
		}
		name := text()
		e.Data[name] = text()
	}
	if len(b) != 0 {
		t.Fatalf("%d bytes left", len(b))
	}
	return e
}

func someEvent(t *rapid.T, what string) *Event {
	s := rapid.StringN(0, 8, 32)
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMilli(rapid.Int64Range(-1<<45, 1<<45).Draw(t, "ms")).UTC()
	})
	e := &Event{
		ID: s.Draw(t, what+" id"), At: moment.Draw(t, what+" at"), Kind: s.Draw(t, what+" kind"), Outcome: s.Draw(t, what+" outcome"),
		UserID: s.Draw(t, what+" user"), ActorID: s.Draw(t, what+" actor"), SessionID: s.Draw(t, what+" session"),
		Address: s.Draw(t, what+" address"), UserAgent: s.Draw(t, what+" agent"), Ref: s.Draw(t, what+" ref"),
		Data: rapid.MapOfN(s, s, 0, 3).Draw(t, what+" data"), ExpiresAt: moment.Draw(t, what+" expires"),
		Chain: s.Draw(t, what+" chain"), Sequence: rapid.Int64().Draw(t, what+" sequence"),
	}
	if len(e.Data) == 0 {
		e.Data = nil
	}
	return e
}

// Every event can be read back from its canonical form, so no two have one form.
func TestCanonicalForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := someEvent(t, "an event")
		if got := decanonical(t, canonical(e)); !reflect.DeepEqual(got, e) {
			t.Fatalf("%+v came back as %+v", e, got)
		}
	})
}

// What a text says cannot move into its neighbour.
func TestCanonicalFormOfNeighbours(t *testing.T) {
	forms := map[string]string{}
	for what, e := range map[string]*Event{
		"nothing":      {},
		"kind":         {Kind: "ab"},
		"split":        {Kind: "a", Outcome: "b"},
		"outcome":      {Outcome: "ab"},
		"data":         {Data: map[string]string{"a": "b"}},
		"data, name":   {Data: map[string]string{"ab": ""}},
		"data, value":  {Data: map[string]string{"": "ab"}},
		"data, twice":  {Data: map[string]string{"a": "", "b": ""}},
		"ref":          {Ref: "a"},
		"at":           {At: time.UnixMilli(0)},
		"expires":      {ExpiresAt: time.UnixMilli(0)},
		"chain":        {Chain: "\x01"},
		"sequence":     {Sequence: 1},
		"sequence, 2":  {Sequence: 1 << 56},
		"a long agent": {UserAgent: string(bytes.Repeat([]byte("a"), 300))},
	} {
		form := string(canonical(e))
		if other, taken := forms[form]; taken {
			t.Errorf("%s and %s have one form", what, other)
		}
		forms[form] = what
	}
}

// Every field of an event but the proof is in the form, also one that is added.
func TestCanonicalFormHasEveryField(t *testing.T) {
	bare := canonical(&Event{})
	for f := range reflect.TypeFor[Event]().Fields() {
		if f.Name == "Proof" {
			continue
		}
		e := &Event{}
		v := reflect.ValueOf(e).Elem().FieldByIndex(f.Index)
		switch v.Interface().(type) {
		case string:
			v.SetString("x")
		case int64:
			v.SetInt(1)
		case time.Time:
			v.Set(reflect.ValueOf(time.UnixMilli(1)))
		case map[string]string:
			v.Set(reflect.ValueOf(map[string]string{"x": "x"}))
		default:
			t.Fatalf("%s is of a type that this test does not know", f.Name)
		}
		if bytes.Equal(canonical(e), bare) {
			t.Errorf("%s can be changed unnoticed", f.Name)
		}
	}
}

func TestProofComesBack(t *testing.T) {
	p := proof{
		key: [4]byte{1, 2, 3, 4}, settled: 1 << 40, previousExpires: time.UnixMilli(1_766_000_000_123).UTC(),
		previous: [32]byte{5}, mac: [32]byte{31: 6},
	}
	got, err := parseProof(p.bytes())
	if err != nil || got != p {
		t.Errorf("parseProof = %+v, %v, want %+v", got, err, p)
	}
	for _, b := range [][]byte{nil, {}, p.bytes()[1:], append(p.bytes(), 0), append([]byte{2}, p.bytes()[1:]...)} {
		if _, err := parseProof(b); err == nil {
			t.Errorf("parseProof(%x): no error", b)
		}
	}
}

// spans against a set of numbers.
func TestSpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s spans
		set := map[int64]bool{}
		for range rapid.IntRange(0, 20).Draw(t, "adds") {
			from := rapid.Int64Range(1, 40).Draw(t, "from")
			to := from + rapid.Int64Range(0, 5).Draw(t, "length")
			s.add(from, to)
			for n := from; n <= to; n++ {
				set[n] = true
			}
		}
		var got []int64
		for i, x := range s {
			if i > 0 && x.from <= s[i-1].to+1 {
				t.Fatalf("%v is not as short as it can be", s)
			}
			for n := x.from; n <= x.to; n++ {
				got = append(got, n)
			}
		}
		if want := slices.Sorted(maps.Keys(set)); !slices.Equal(got, want) {
			t.Fatalf("%v holds %v, want %v", s, got, want)
		}
		if n := s.count(); n != int64(len(set)) {
			t.Fatalf("count of %v = %d, want %d", s, n, len(set))
		}
		back, err := parseSpans(s.String())
		if err != nil || !slices.Equal(back, s) {
			t.Fatalf("%q came back as %v, %v", s, back, err)
		}
		from := rapid.Int64Range(1, 40).Draw(t, "without from")
		x := span{from, from + rapid.Int64Range(0, 20).Draw(t, "without length")}
		var rest, want []int64
		for _, y := range s.without(x) {
			for n := y.from; n <= y.to; n++ {
				rest = append(rest, n)
			}
		}
		for n := x.from; n <= x.to; n++ {
			if !set[n] {
				want = append(want, n)
			}
		}
		if !slices.Equal(rest, want) {
			t.Fatalf("%v without %v = %v, want %v", s, x, rest, want)
		}
	})
}

func TestHeadComesBack(t *testing.T) {
	h := head{"chain", 7, [32]byte{1, 2}, time.UnixMilli(1_766_000_000_000).UTC()}
	if got, err := parseHead(h.String()); err != nil || got != h {
		t.Errorf("%s came back as %v, %v", h, got, err)
	}
	for _, text := range []string{"", "a:1", "a:1:xx:1", ":1:" + h.String(), "chain:0" + h.String()[7:], "chain:x" + h.String()[7:], h.String() + ":"} {
		if _, err := parseHead(text); err == nil {
			t.Errorf("parseHead(%q): no error", text)
		}
	}
}

// settled never passes a number whose fate is open, or that was lost and is in no
// checkpoint yet.
func TestSettled(t *testing.T) {
	c, err := newChain(NewSecret(bytes.Repeat([]byte("s"), 32)))
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := c.link(&Event{Kind: EventLogin}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(n int64) {
		t.Helper()
		if c.settled != n {
			t.Errorf("settled = %d, want %d", c.settled, n)
		}
	}
	c.settle(2, true)
	c.settle(3, false)
	want(0)
	c.settle(1, true)
	want(2)
	c.settle(5, true)
	want(2)
	lost := c.declare(10)
	if lost.String() != "3" {
		t.Errorf("lost = %s, want 3", lost)
	}
	c.declared(false)
	want(2)
	c.declare(10)
	if n := c.decided(); n != 3 {
		t.Errorf("with what is being declared %d are decided, want 3", n)
	}
	c.declared(true)
	want(3)
	select {
	case <-c.wait():
		t.Error("4 is still being written")
	default:
	}
	landed := c.wait()
	c.settle(4, true)
	want(5)
	<-landed
	<-c.wait()
}

// Who has the master secret can make another event in the place of one, but
// not another one that the next event is linked to.
func TestAuditOfABrokenLink(t *testing.T) {
	secret := NewSecret(bytes.Repeat([]byte("s"), 32))
	c, err := newChain(secret)
	if err != nil {
		t.Fatal(err)
	}
	var list []*Event
	for range 4 {
		e := &Event{Kind: EventLogin, Outcome: "ok"}
		if err := c.link(e); err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	forged := *list[1]
	forged.Outcome = "forged"
	p, err := parseProof(forged.Proof)
	if err != nil {
		t.Fatal(err)
	}
	p.mac = linkMAC(c.hmac, &p, &forged)
	forged.Proof = p.bytes()
	list[1] = &forged
	for what, order := range map[string][]int{"the newest first": {3, 2, 1, 0}, "the oldest first": {0, 1, 2, 3}} {
		a := NewAudit(secret)
		for _, i := range order {
			a.Add(list[i])
		}
		if r := a.Report(time.Now()); len(r.Problems) != 1 || r.Problems[0].Kind != "changed" || r.Problems[0].Events != "2-3" {
			t.Errorf("%s: %v, want the link between 2 and 3 as broken", what, r.Problems)
		}
	}
}

// BenchmarkLink is what the audit log costs a login beside the write.
func BenchmarkLink(b *testing.B) {
	c, err := newChain(NewSecret(bytes.Repeat([]byte("s"), 32)))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		e := &Event{
			Kind: EventLogin, Outcome: "ok", UserID: "01938c00-5a2f-7000-8000-000000000001", SessionID: "01938c00-5a2f-7000-8000-000000000001",
			Address: "192.0.2.7", Ref: "0123456789abcdef", Data: map[string]string{"method": "pwd"},
			UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
		}
		if err := c.link(e); err != nil {
			b.Fatal(err)
		}
		c.settle(e.Sequence, true)
	}
}

// BenchmarkAudit is what it costs to verify an event.
func BenchmarkAudit(b *testing.B) {
	secret := NewSecret(bytes.Repeat([]byte("s"), 32))
	c, err := newChain(secret)
	if err != nil {
		b.Fatal(err)
	}
	list := make([]*Event, 1000)
	for i := range list {
		list[i] = &Event{Kind: EventLogin, Outcome: "ok", UserID: "01938c00-5a2f-7000-8000-000000000001", Data: map[string]string{"method": "pwd"}}
		if err := c.link(list[i]); err != nil {
			b.Fatal(err)
		}
	}
	slices.Reverse(list)
	b.ReportAllocs()
	a := NewAudit(secret)
	for i := 0; b.Loop(); i++ {
		if i%len(list) == 0 {
			a = NewAudit(secret)
		}
		a.Add(list[i%len(list)])
	}
	if r := a.Report(time.Now()); len(r.Problems) > 1 { // the last round may be cut short
		b.Fatal(r.Problems[0])
	}
}
