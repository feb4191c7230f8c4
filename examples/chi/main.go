// The program of examples/nethttp behind chi, with a group of routes for those who
// are logged in and one for those who have a role. Try it, in this folder:
//
//	APP_SECRET=$(openssl rand -base64 48) go run .
//
// Keep the secret: with another one nobody stays logged in.
package main

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/go-chi/chi/v5"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/sqlite"
	"github.com/gatehouse-auth/gatehouse/web"
)

func main() {
	handler, stop, err := newApp("app.db", os.Getenv("APP_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	err = http.ListenAndServe("localhost:8080", handler)
	log.Fatal(errors.Join(err, stop()))
}

// newApp is the whole program but for the listener; stop ends it.
func newApp(database, secret string) (_ http.Handler, stop func() error, _ error) {
	store, err := sqlite.Open(database, sqlite.Options{})
	if err != nil {
		return nil, nil, err
	}
	auth, err := gatehouse.New(gatehouse.Config{Store: store, Secret: gatehouse.NewSecret([]byte(secret))})
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	stop = func() error { return errors.Join(auth.Close(), store.Close()) }
	front, err := web.New(web.Config{Gatehouse: auth, SiteName: "Example"})
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	r := chi.NewRouter()
	r.Group(func(r chi.Router) {
		r.Use(front.Require)
		r.Get("/dashboard", dashboard)
	})
	r.Group(func(r chi.Router) {
		r.Use(func(next http.Handler) http.Handler { return front.RequireRole("admin", next) })
		r.Get("/reports", reports)
	})
	r.Handle("/*", front.Handler()) // /login, /register, /account, /api/auth/…
	return r, stop, nil
}

func dashboard(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "Good to see you, %s.\n", web.UserFrom(r.Context()).Name)
}

func reports(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "For admins alone.")
}
