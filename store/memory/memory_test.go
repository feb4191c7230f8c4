package memory_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/memory"
	"github.com/gatehouse-auth/gatehouse/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) gatehouse.Store { return memory.New() })
}

func TestMover(t *testing.T) {
	storetest.Mover(t, func(*testing.T) gatehouse.Store { return memory.New() })
}
