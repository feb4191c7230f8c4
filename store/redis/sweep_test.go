package redis

import (
	"strconv"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// What was saved with a later expiry is swept then, and not by somebody who read the
// index before.
func TestSweepGoesByTheLastExpiry(t *testing.T) {
	s := openStore(t, shared.URL(), Options{Prefix: prefix()}, memory.New())
	sooner := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	later := sooner.Add(time.Hour)
	x := &gatehouse.Session{ID: "s", UserID: "u", ExpiresAt: sooner}
	if err := s.CreateSession(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	x.ExpiresAt = later
	if err := s.SaveSession(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Sweep(t.Context(), sooner, 10); n != 0 || err != nil {
		t.Errorf("swept %d at the former expiry, %v", n, err)
	}
	until := strconv.FormatInt(sooner.UnixMilli(), 10)
	if n, err := s.sweepBucket(t.Context(), bucketOf("s"), sessionKey, until, []answer{{text: "s"}}); n != 0 || err != nil {
		t.Errorf("swept %d that had been saved meanwhile, %v", n, err)
	}
	if _, err := s.Session(t.Context(), "s"); err != nil {
		t.Error(err)
	}
	if n, err := s.Sweep(t.Context(), later, 10); n != 1 || err != nil {
		t.Errorf("swept %d at the expiry, %v", n, err)
	}
	if n, err := shared.Do("EXISTS", s.c.key(listKey, "u"), s.c.key(sessionKey, "s"), s.c.expiries(sessionKey, "s")); n != "0" {
		t.Errorf("%s keys are left of it, %v", n, err)
	}
}
