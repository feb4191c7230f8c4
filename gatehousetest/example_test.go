package gatehousetest_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
)

func Example() {
	// In a real test this is func TestReport(t *testing.T).
	test := func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := gatehousetest.New(t, gatehouse.Config{InactivityTimeout: time.Hour})
			a.Register("ann@example.com")
			login := a.Login("ann@example.com")

			time.Sleep(time.Hour) // of the bubble, not of your life
			_, err := a.Refresh(t.Context(), login.RefreshToken)
			if !errors.Is(err, gatehouse.Unauthenticated) {
				t.Fatalf("after the inactivity timeout: err = %v, want Unauthenticated", err)
			}
		})
	}
	ok := testing.RunTests(func(_, _ string) (bool, error) { return true, nil },
		[]testing.InternalTest{{Name: "TestInactivity", F: test}})
	fmt.Println("passed:", ok)
	// Output: passed: true
}
