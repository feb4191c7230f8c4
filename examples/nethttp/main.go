// A program with a page of its own for those who are logged in, on net/http and
// an SQLite file. Try it:
//
//	APP_SECRET=$(openssl rand -base64 48) go run ./examples/nethttp
//
// Keep the secret: with another one nobody stays logged in.
package main

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/store/sqlite"
	"github.com/gatehouse-auth/gatehouse/web"
)

func main() {
	handler, stop, err := newApp("app.db", os.Getenv("APP_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	server := http.Server{Addr: "localhost:8080", Handler: handler, ReadTimeout: 30 * time.Second}
	log.Fatal(errors.Join(server.ListenAndServe(), stop()))
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
	mux := http.NewServeMux()
	mux.Handle("/", front.Handler()) // /login, /register, /account, /api/auth/…
	mux.Handle("GET /dashboard", front.Require(http.HandlerFunc(dashboard)))
	return mux, stop, nil
}

func dashboard(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "Good to see you, %s.\n", web.UserFrom(r.Context()).Name)
}
