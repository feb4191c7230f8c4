package mongo

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
)

// plans looks at every command that a store sends, and knows which of them an index
// of the collection leads to, by the rules of MongoDB: fields that equal something,
// then either the order that is asked for or a range. What the stand-in does with
// them says nothing of that.
type plans struct {
	mu    sync.Mutex
	seen  map[string]bool // shapes of commands
	scans map[string]bool
}

func newPlans() *plans { return &plans{seen: map[string]bool{}, scans: map[string]bool{}} }

func (p *plans) monitor() *event.CommandMonitor {
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		var command bson.D
		if err := bson.Unmarshal(e.Command, &command); err != nil {
			p.note("a command that cannot be read", false)
			return
		}
		collection, _ := command[0].Value.(string)
		switch e.CommandName {
		case "find":
			limit := member(command, "limit")
			p.look("find", collection, in(command, "filter"), in(command, "sort"), limit != nil && limit != int64(0))
		case "findAndModify":
			p.look("findAndModify", collection, in(command, "query"), in(command, "sort"), true)
		case "update", "delete":
			list, _ := member(command, e.CommandName+"s").(bson.A)
			if len(list) == 0 {
				p.note(e.CommandName+" "+collection+" without a list", false)
			}
			for _, one := range list {
				p.look(e.CommandName, collection, in(one.(bson.D), "q"), nil, false)
			}
		case "aggregate", "count", "distinct":
			p.note(e.CommandName+" "+collection+": this test does not know it", false)
		}
	}}
}

// look notes a command that looks for documents. Those of meta are not looked at:
// there is one for each process that is running, and a few others.
func (p *plans) look(name, collection string, filter, sort bson.D, limit bool) {
	if collection == "gatehouse_meta" {
		return
	}
	wanted := adoptionIndexes // the collection of the application
	if ours, ok := strings.CutPrefix(collection, "gatehouse_"); ok {
		wanted = indexes[ours]
	}
	led := (index{key: d("_id", 1)}).leads(filter, sort, limit) || len(filter) == 0 && len(sort) == 0 && limit // whichever come first
	for _, i := range wanted {
		led = led || i.leads(filter, sort, limit)
	}
	var fields []string
	for _, f := range filter {
		fields = append(fields, f.Key+" "+shape(f.Value))
	}
	p.note(fmt.Sprintf("%s %s {%s} by %v, with a limit: %t", name, collection, strings.Join(fields, ", "), sort, limit), led)
}

func (p *plans) note(command string, led bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen[command] = true; !led {
		p.scans[command] = true
	}
}

// lastOfWalk is the look at whether there are documents of somebody else, in the
// index of _id from one end to the other, once when all documents have been read.
func lastOfWalk(command string) bool { return strings.Contains(command, " {_id $not} ") }

// check fails the test for each kind of command that reads a whole collection.
func (p *plans) check(t *testing.T, atLeast int) {
	t.Helper()
	for command := range p.scans {
		if !lastOfWalk(command) {
			t.Errorf("no index leads to it: %s", command)
		}
	}
	if len(p.seen) < atLeast {
		t.Errorf("%d kinds of commands were seen, want at least %d: %v", len(p.seen), atLeast, p.seen)
	}
}

// leads reports whether the index finds what the filter asks for, in this order,
// without looking at much else.
func (i index) leads(filter, sort bson.D, limit bool) bool {
	equal := 0
	for equal < len(i.key) && i.bounds(filter, i.key[equal].Key) == "$eq" {
		equal++
	}
	if equal == 0 && i.bounds(filter, i.key[0].Key) == "" && (len(filter) > 0 || len(sort) == 0 || !limit) {
		return false
	}
	rest := i.key[equal:]
	if len(sort) > len(rest) {
		return false
	}
	for n, by := range sort {
		turned := fmt.Sprint(sort[0].Value) != fmt.Sprint(rest[0].Value)
		if by.Key != rest[n].Key || turned != (fmt.Sprint(by.Value) != fmt.Sprint(rest[n].Value)) {
			return false
		}
	}
	return true
}

// bounds is how the filter bounds a field: by an operator, or not at all. A sparse
// index passes over documents without the field.
func (i index) bounds(filter bson.D, field string) string {
	for _, f := range filter {
		if f.Key != field {
			continue
		}
		switch s := shape(f.Value); s {
		case "null", "$exists false":
			if !i.unique {
				return "$eq"
			}
		case "$eq", "$in", "$gt", "$gte", "$lt", "$lte":
			return s
		}
	}
	return ""
}

// shape is what a condition is, without the value.
func shape(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bson.D:
		if len(v) > 0 && v[0].Key == "$exists" {
			return fmt.Sprint("$exists ", v[0].Value)
		}
		if len(v) > 0 && strings.HasPrefix(v[0].Key, "$") {
			return v[0].Key
		}
	}
	return "$eq"
}

func member(document bson.D, name string) any {
	for _, e := range document {
		if e.Key == name {
			return e.Value
		}
	}
	return nil
}

func in(document bson.D, name string) bson.D {
	inner, _ := member(document, name).(bson.D)
	return inner
}

// The rules themselves.
func TestPlans(t *testing.T) {
	i := index{"", d("a", 1, "b", -1), false}
	for _, c := range []struct {
		filter, sort bson.D
		want         bool
	}{
		{d("a", 1), nil, true},
		{d("a", nil), nil, true},
		{d("a", d("$gt", 1)), d("a", 1), true},
		{d("a", d("$gt", 1)), d("a", -1, "b", 1), true},
		{d("a", d("$gt", 1)), d("a", 1, "b", 1), false},
		{d("a", d("$gt", 1)), d("b", 1), false},
		{d("a", 1, "c", 1), d("b", 1), true},
		{d("b", 1), nil, false},
		{d("a", d("$not", 1)), nil, false},
		{d("$or", bson.A{}), d("a", 1), false},
		{bson.D{}, d("a", 1), true},
		{bson.D{}, d("c", 1), false},
		{bson.D{}, nil, false},
	} {
		if got := i.leads(c.filter, c.sort, true); got != c.want {
			t.Errorf("%v by %v: %t", c.filter, c.sort, got)
		}
	}
	if i.leads(bson.D{}, d("a", 1), false) {
		t.Error("everything, in order, without a limit")
	}
	if (index{"", d("a", 1), true}).leads(d("a", nil), nil, true) {
		t.Error("a sparse index does not lead to what has no value")
	}
}
