package mongo

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/storetest"
)

func TestStore(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		plans := newPlans()
		storetest.Run(t, func(t *testing.T) gatehouse.Store { return open(t, database(t), Options{monitor: plans.monitor()}) })
		plans.check(t, 25)
	})
}

func TestMover(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		// The stand-in looks for the keys of each user with a scan.
		plans := newPlans()
		storetest.Mover(t, func(t *testing.T) gatehouse.Store {
			return open(t, database(t), Options{Timeout: time.Minute, monitor: plans.monitor()})
		})
		plans.check(t, 12)
	})
}

// Three handles, as three processes have them.
func TestRaces(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		storetest.Races(t, func(t *testing.T) []gatehouse.Store {
			uri := database(t)
			return []gatehouse.Store{open(t, uri, Options{}), open(t, uri, Options{}), open(t, uri, Options{})}
		})
	})
}
