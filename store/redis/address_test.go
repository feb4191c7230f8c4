package redis

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for url, want := range map[string]address{
		"redis://localhost":                  {hosts: []string{"localhost:6379"}},
		"redis://":                           {hosts: []string{"localhost:6379"}},
		"valkey://10.0.0.1:7000/3":           {hosts: []string{"10.0.0.1:7000"}, database: 3},
		"redis://[::1]:7000":                 {hosts: []string{"[::1]:7000"}},
		"redis://[::1]":                      {hosts: []string{"[::1]:6379"}},
		"rediss://ann:a%40b%3A%2F@h/0?ca=/c": {tls: true, hosts: []string{"h:6379"}, user: "ann", password: "a@b:/", ca: "/c"},
		"redis://user@h":                     {hosts: []string{"h:6379"}, user: "user"},
		"redis://:p@ss@h":                    {hosts: []string{"h:6379"}, password: "p@ss"},
		"unix:///run/redis.sock?db=2":        {socket: true, hosts: []string{"/run/redis.sock"}, database: 2},
		"redis+sentinel://u:p@a,b:1/main/4?sentinel_user=s&sentinel_password=q": {
			mode: sentinel, hosts: []string{"a:26379", "b:1"}, master: "main", database: 4, user: "u", password: "p",
			sentinelUser: "s", sentinelPassword: "q",
		},
		"valkeys+cluster://a,b": {mode: cluster, tls: true, hosts: []string{"a:6379", "b:6379"}},
	} {
		got, err := parseAddress(url)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %#v, %v\nwant %#v", url, got, err, want)
		}
	}
	for _, url := range []string{
		"", "localhost:6379", "http://h", "redis+x://h", "unix+sentinel:///x", "unix://h/x", "unix://", "redis://a,b", "redis://h:x",
		"redis://h:0", "redis://h:99999", "redis://h/x", "redis://h/-1", "redis://h/0/1", "redis://%zz:x@h",
		"redis+sentinel://h", "redis+sentinel://h/", "redis+sentinel://h/m/x", "redis+cluster://h/1", "redis://h?x=1", "redis://h?ca=/x",
		"redis://h?%zz", "rediss://h?ca=a&ca=b", "redis://a b", "redis://h,", "redis+sentinel://u:12/34@h/main", "redis+sentinel://,/m",
	} {
		if a, err := parseAddress(url); err == nil {
			t.Errorf("%q is taken for %#v", url, a)
		}
	}
}

// Whatever is wrong with a URL, nothing of a password is told.
func FuzzParseAddress(f *testing.F) {
	for _, url := range []string{"redis://u:hunter2@h:x/0", "redis+sentinel://:hunter2@a,b/m?sentinel_password=hunter2", "hunter2", "redis://hunter2@h"} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, url string) {
		a, err := parseAddress(url)
		if err != nil && strings.Contains(url, "hunter2") && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", url, err)
		}
		if err == nil && a.password != "" && !strings.Contains(strings.Join(append(a.hosts, a.master), " "), a.password) && strings.Contains(a.String(), a.password) {
			t.Errorf("%q is told as %s", url, a)
		}
	})
}
