package mongo

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/storetest"
)

func TestStore(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		storetest.Run(t, func(t *testing.T) gatehouse.Store { return open(t, database(t), Options{}) })
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
