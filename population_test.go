package gatehouse_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/gatehousetest"
	"github.com/gatehouse-auth/gatehouse/store/memory"
)

// An absent user has a kind of hash, always the same, and each kind is as common
// as among those who exist.
func TestFictitiousKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, secret := memory.New(), gatehouse.NewSecret([]byte(strings.Repeat("s", 32)))
		add := func(i int, hash string) {
			u := &gatehouse.User{ID: fmt.Sprintf("%08d", i), EmailKey: fmt.Sprintf("user%d@example.com", i)}
			if hash != "" {
				u.Credentials = []gatehouse.Credential{{Kind: "password", Hash: hash}}
			}
			if err := store.CreateUser(t.Context(), u); err != nil {
				t.Fatal(err)
			}
		}
		const (
			cheap = "$2b$04$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk."
			dear  = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
			argon = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
		)
		a := gatehousetest.New(t, gatehouse.Config{Store: store, Secret: secret})
		synctest.Wait()
		if k := a.FictitiousKind("nobody@example.com"); k != "" {
			t.Errorf("with no users: %q, want that of new hashes", k)
		}
		for i := range 1200 { // more than a page
			switch {
			case i%10 < 3:
				add(i, cheap)
			case i%10 == 3:
				add(i, dear)
			case i%10 == 4:
				add(i, "") // another way of logging in
			case i%10 == 5:
				add(i, "damaged")
			default:
				add(i, argon)
			}
		}
		kinds := func(a *gatehousetest.Auth) (of map[string]string, n map[string]int) {
			of, n = map[string]string{}, map[string]int{}
			for i := range 2000 {
				email := fmt.Sprintf("nobody%d@example.com", i)
				of[email] = a.FictitiousKind(email)
				n[of[email]]++
			}
			return of, n
		}
		time.Sleep(11 * time.Minute)
		first, n := kinds(a)
		for k, want := range map[string]int{"bcrypt 4": 750, "bcrypt 5": 250, "argon2id m=256,t=2,p=1": 1000} {
			if n[k] < want-120 || n[k] > want+120 {
				t.Errorf("%d of 2000 have %s, want about %d: %v", n[k], k, want, n)
			}
		}
		// The same after a restart, at once, and in another process.
		b := gatehousetest.New(t, gatehouse.Config{Store: store, Secret: secret})
		synctest.Wait()
		again, _ := kinds(b)
		for email, k := range first {
			if again[email] != k {
				t.Fatalf("%s is %q, and was %q", email, again[email], k)
			}
		}
		// Another house draws otherwise: who knows ours does not know the next.
		c := gatehousetest.New(t, gatehouse.Config{
			Store: store, Secret: gatehouse.NewSecret([]byte(strings.Repeat("x", 32))), PreviousSecrets: []gatehouse.Secret{secret},
		})
		synctest.Wait()
		other, _ := kinds(c)
		moved := 0
		for email, k := range first {
			if other[email] != k {
				moved++
			}
		}
		if moved < 500 {
			t.Errorf("only %d of 2000 differ with another secret", moved)
		}
		// New users move few.
		for i := range 60 {
			add(2000+i, argon)
		}
		time.Sleep(12 * time.Minute)
		later, _ := kinds(a)
		moved = 0
		for email, k := range first {
			if later[email] != k {
				moved++
			}
		}
		if moved == 0 || moved > 150 {
			t.Errorf("%d of 2000 differ after 5 %% more users, want a few", moved)
		}
	})
}
