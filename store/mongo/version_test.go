package mongo

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// To ask for the version changes nothing; to migrate makes what is missing, once.
func TestSchemaVersion(t *testing.T) {
	onEach(t, func(t *testing.T, database func(*testing.T) string) {
		uri := database(t)
		version := func(want int) {
			t.Helper()
			current, wanted, err := SchemaVersion(t.Context(), uri)
			if err != nil || current != want || wanted != schemaVersion {
				t.Fatalf("version %d, wanted %d, %v; want %d", current, wanted, err, want)
			}
		}
		version(0)
		if names := must(bare(t, uri).ListCollectionNames(t.Context(), bson.D{}))(t); len(names) > 0 {
			t.Errorf("to ask for the version made %v", names)
		}
		for _, before := range []int{0, schemaVersion} {
			if from, to, err := Migrate(t.Context(), uri); err != nil || from != before || to != schemaVersion {
				t.Errorf("migrated from %d to %d, %v; want from %d", from, to, err, before)
			}
			version(schemaVersion)
		}
	})
}
