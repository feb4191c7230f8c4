package cache

import "testing"

func TestBoundAndRecency(t *testing.T) {
	c := New[int, int](1024)
	for i := range 100_000 {
		c.Put(i, i)
		c.Get(7) // asked for all the time
	}
	n := 0
	for i := range c.shards {
		n += len(c.shards[i].young) + len(c.shards[i].old)
	}
	if n > 1024 {
		t.Errorf("%d entries, want at most 1024", n)
	}
	if v, ok := c.Get(7); !ok || v != 7 {
		t.Errorf("the entry in constant use is gone")
	}
	if _, ok := c.Get(50); ok {
		t.Errorf("an entry not used for 99,000 puts is still there")
	}
}

func TestPutSinceLosesToDelete(t *testing.T) {
	c := New[string, string](64)
	m := c.Mark("k")
	c.Delete("k") // somebody changed the record meanwhile
	c.PutSince("k", "stale", m)
	if v, ok := c.Get("k"); ok {
		t.Errorf("got %q, want nothing: it was read before the change", v)
	}
	m = c.Mark("k")
	c.PutSince("k", "fresh", m)
	if v, _ := c.Get("k"); v != "fresh" {
		t.Errorf("got %q, want fresh", v)
	}
	c.Delete("k")
	if _, ok := c.Get("k"); ok {
		t.Error("deleted and still there")
	}
}
