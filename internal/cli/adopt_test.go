package cli

import (
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/crypto/bcrypt"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/server"
	servers "github.com/gatehouse-auth/gatehouse/test/service"
)

// Somebody has an application in MongoDB, and its users log in to Gatehouse.
func TestAdopt(t *testing.T) {
	const secret = "the keys of the gatehouse"
	hash, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	uri := servers.Mongo(t).URI("app")
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Disconnect(t.Context())
	users := client.Database("app").Collection("users")
	var ids []string
	for _, email := range []string{"Ann@Example.com", "bob@example.com", "BOB@example.com"} {
		id := bson.NewObjectID()
		ids = append(ids, id.Hex())
		if _, err := users.InsertOne(t.Context(), bson.D{{Key: "_id", Value: id}, {Key: "email", Value: email}, {Key: "password", Value: string(hash)}, {Key: "role", Value: "user"}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := users.InsertOne(t.Context(), bson.D{{Key: "_id", Value: int32(9)}, {Key: "email", Value: "nine@example.com"}}); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	data := t.TempDir()
	gh := func(status int, pattern string, args ...string) {
		t.Helper()
		var out, err strings.Builder
		environ := []string{"GATEHOUSE_DATABASE=" + uri, "GATEHOUSE_DATA=" + data, "GATEHOUSE_HASH_MEMORY=64KiB", "GATEHOUSE_HASH_TIME=1"}
		if got := Main(args, environ, in, &out, &err); got != status || !regexp.MustCompile(pattern).MatchString(out.String()+err.String()) {
			t.Fatalf("gatehouse %q: status %d, want %d and %s\n%s%s", args, got, status, pattern, out.String(), err.String())
		}
	}
	gh(1, `(?s)2 with one address.*bob@example.com.*BOB@example.com.*nothing was changed`, "adopt")
	gh(0, `this database has a collection users`, "user", "list")
	gh(0, `(?s)4 documents, 3 to be changed.*1 left alone.*\{"\$numberInt":"9"\} +nine@example.com .*its _id is of type 32-bit integer`, "adopt", "--dry-run", "--keep", ids[1])
	gh(0, `adopted: 4 documents, 3 changed`, "adopt", "--keep", ids[1])
	gh(0, ids[0], "user", "show", "ann@example.com")

	loaded, err := server.Load(server.Input{Environ: []string{"GATEHOUSE_DATABASE=" + uri, "GATEHOUSE_DATA=" + data}})
	if err != nil {
		t.Fatal(err)
	}
	i, err := server.Open(t.Context(), &loaded.Settings, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	login, err := i.Gatehouse.Login(t.Context(), gatehouse.PasswordLogin{Email: "ANN@example.com", Password: secret})
	if err != nil || login.User.ID != ids[0] {
		t.Errorf("login with the password of the application: %v, %v", login, err)
	}
	// While it runs, what users are is not changed; to look is no change.
	gh(1, `running on this database: process \d+ on .*; stop it first; --not-running`, "adopt", "--finish", "--yes")
	gh(1, `running on this database`, "adopt", "--undo")
	gh(0, `running on this database`, "adopt", "--undo", "--dry-run")
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	// Who was shut out here is not let in again because Gatehouse leaves.
	gh(0, ``, "user", "disable", ids[1])
	gh(2, `goes with --undo`, "adopt", "--as-it-was")
	gh(0, `(?s)1 disabled here.*`+ids[1]+`.*no password is let in`, "adopt", "--undo", "--dry-run")
	gh(0, `(?s)1 disabled here.*`+ids[1]+`.*let in with the password of before`, "adopt", "--undo", "--as-it-was", "--dry-run")
	gh(2, `--yes`, "adopt", "--finish")
	gh(0, `finished: 4 documents, 3 changed`, "adopt", "--finish", "--yes")
	gh(1, `not possible`, "adopt", "--undo")
	gh(2, `MongoDB`, "--database", "sqlite:x.db", "adopt")
}
