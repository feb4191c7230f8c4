package mongo

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/storetest"
)

func TestStore(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		storetest.Run(t, func(t *testing.T) gatehouse.Store { return open(t, database(t), Options{}) })
	})
}

func TestMover(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		// The stand-in looks for the keys of each user with a scan.
		storetest.Mover(t, func(t *testing.T) gatehouse.Store { return open(t, database(t), Options{Timeout: time.Minute}) })
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
