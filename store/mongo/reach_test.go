package mongo

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/gatehouse-auth/gatehouse"
)

// Whoever starts Gatehouse with a connection string that leads nowhere reads one
// line, with what is wrong and what to do, and without the password.
func TestUnreachable(t *testing.T) {
	answer := func(c bson.D) (bson.D, bool) { return healthy(c), true }
	member := (&fake{hello: replicaSet, answer: answer}).start(t)
	secondary := (&fake{hello: append(d("isWritablePrimary", false, "ismaster", false, "secondary", true), replicaSet...), answer: answer}).start(t)
	hosts := (&fake{hello: append(d("hosts", bson.A{"db1.invalid:27017"}), replicaSet...), answer: answer}).start(t)
	encrypted := httptest.NewUnstartedServer(nil)
	encrypted.Config.ErrorLog = log.New(io.Discard, "", 0)
	encrypted.StartTLS()
	t.Cleanup(encrypted.Close)
	overTLS := "mongodb://" + encrypted.Listener.Addr().String() + "/test"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "mongodb://" + l.Addr().String() + "/test"
	l.Close()
	for name, c := range map[string]struct{ uri, says, remedy string }{
		"nobody listens":            {closed, "nothing listens at 127.0.0.1", "start MongoDB"},
		"another replica set":       {member + "?replicaSet=rs1", `"rs1"`, "correct replicaSet="},
		"another one, directly":     {member + "?replicaSet=rs1&directConnection=true", `"rs1"`, "replicaSet="},
		"no primary":                {secondary + "?replicaSet=rs0", "no primary", "rs.status()"},
		"members of unknown names":  {hosts + "?replicaSet=rs0", "db1.invalid cannot be looked up", "rs.conf()"},
		"TLS where there is none":   {member + "?tls=true", "does not answer", "tls=true"},
		"no TLS where there is":     {overTLS, "hangs up", "add tls=true"},
		"a certificate not trusted": {overTLS + "?tls=true", "not trusted", "tlsCAFile"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			uri := strings.Replace(c.uri, "mongodb://", "mongodb://gate:hunter2@", 1)
			_, err := Open(t.Context(), uri, Options{Timeout: 3 * time.Second})
			if !errors.Is(err, gatehouse.ErrUnavailable) {
				t.Fatalf("err = %v, want ErrUnavailable", err)
			}
			if text := err.Error(); !strings.Contains(text, c.says) || !strings.Contains(text, c.remedy) || strings.ContainsAny(text, "\n{") || strings.Contains(text, "hunter") {
				t.Errorf("err = %v, want one line that says %q and %q", err, c.says, c.remedy)
			}
		})
	}
}
