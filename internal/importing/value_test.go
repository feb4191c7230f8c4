package importing

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

func must(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestMoments(t *testing.T) {
	for v, want := range map[string]string{
		`"2023-04-05T06:07:08.009Z"`: "2023-04-05T06:07:08.009Z", `"2023-04-05T08:07:08+02:00"`: "2023-04-05T06:07:08Z",
		`"2023-04-05 06:07:08.123456+00"`: "2023-04-05T06:07:08.123456Z", `"2023-04-05 06:07:08+02"`: "2023-04-05T04:07:08Z",
		`"2023-04-05 06:07:08 UTC"`: "2023-04-05T06:07:08Z", `"2023-04-05 06:07:08.5Z"`: "2023-04-05T06:07:08.5Z", `"2023-04-05 06:07:08"`: "2023-04-05T06:07:08Z",
		`"2023-04-05"`: "2023-04-05T00:00:00Z", `1600000000`: "2020-09-13T12:26:40Z", `1600000000123`: "2020-09-13T12:26:40.123Z", `"1600000000123"`: "2020-09-13T12:26:40.123Z",
		`{"$date":"2023-04-05T06:07:08Z"}`: "2023-04-05T06:07:08Z", `{"$date":{"$numberLong":"1600000000123"}}`: "2020-09-13T12:26:40.123Z", `{"$date":1600000000123}`: "2020-09-13T12:26:40.123Z",
	} {
		if got := moment(jsontext.Value(v)); !got.Equal(must(t, want)) {
			t.Errorf("%s is %v, want %s", v, got, want)
		}
	}
	for _, v := range []string{``, `null`, `""`, `"x"`, `0`, `-1`, `1e300`, `"NaN"`, `"infinity"`, `[]`, `{}`, `{"$date":{}}`, `true`, `"1 January 2020"`} {
		if got := moment(jsontext.Value(v)); !got.IsZero() {
			t.Errorf("%s is %v, want no time", v, got)
		}
	}
}

func TestTexts(t *testing.T) {
	for v, want := range map[string]int{
		`["a","b"]`: 2, `"[\"a\",\"b\"]"`: 2, `"a,b"`: 2, `"{a,b}"`: 2, `"{\"a\",b}"`: 2, `"a"`: 1, `""`: 0, `null`: 0, `[]`: 0, `"{}"`: 0, `["a",null,{}]`: 1, `{"a":1}`: 0,
	} {
		if got := texts(jsontext.Value(v)); len(got) != want {
			t.Errorf("%s is %q, want %d", v, got, want)
		}
	}
}
