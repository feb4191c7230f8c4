package redis

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
)

// check looks at each server that is written to: version, role, and whether it
// takes a write; and collects warnings.
func (c *Client) check(ctx context.Context, a address) error {
	ctx, cancel := context.WithTimeout(ctx, 3*c.options.Timeout)
	defer cancel()
	servers := c.wire.servers()
	primaries := 0
	for _, where := range slices.Sorted(maps.Keys(servers)) {
		primary, err := c.checkServer(ctx, a, servers[where])
		if err != nil {
			return err
		}
		if primary {
			primaries++
		}
	}
	if primaries == 0 {
		return fmt.Errorf("redis at %s: %w: %s", c.where, gatehouse.ErrUnavailable, "this Redis is a replica that cannot be written: name its primary, or use redis+sentinel://")
	}
	if err := c.probe(ctx); err != nil {
		return fmt.Errorf("redis at %s: %w", c.where, err)
	}
	slices.Sort(c.warnings)
	c.warnings = slices.Compact(c.warnings)
	return nil
}

// probe is nil if Redis takes a write.
func (c *Client) probe(ctx context.Context) error {
	_, err := c.one(ctx, "write", command{word: []string{"SET"}, keys: []string{c.key("probe", "")}, args: []string{"1", "PX", "60000"}})
	return err
}

func (c *Client) checkServer(ctx context.Context, a address, w wire) (primary bool, err error) {
	told := w.do(ctx, command{word: []string{"INFO"}})[0]
	if told.err != nil {
		return false, c.unfit(told.err)
	}
	info := facts(told.text)
	if why := tooOld(info); why != "" {
		return false, fmt.Errorf("redis at %s: %s", c.where, why)
	}
	mode := cmp.Or(info["server_mode"], info["redis_mode"]) // Valkey says the first, since 8
	if mode == "cluster" && a.mode != cluster {
		return false, fmt.Errorf("redis at %s: it is part of a Cluster: use redis+cluster://", c.where)
	}
	if mode != "cluster" && a.mode == cluster {
		return false, fmt.Errorf("redis at %s: it is no Cluster: use redis://", c.where)
	}
	if mode == "sentinel" {
		return false, fmt.Errorf("redis at %s: it is a Sentinel: use redis+sentinel://HOST/MASTER", c.where)
	}
	if info["role"] != "master" {
		return false, nil
	}
	settings := map[string]string{}
	seen := true
	for _, name := range []string{"appendfsync", "min-replicas-to-write", "no-appendfsync-on-rewrite"} {
		got := w.do(ctx, command{word: []string{"CONFIG", "GET", name}})[0]
		if got.err != nil || len(got.list) != 2 {
			seen = false // managed services and ACLs may forbid it
			continue
		}
		settings[name] = got.list[1].text
	}
	c.warnings = append(c.warnings, warnings(info, settings, seen)...)
	return true, nil
}

// facts reads what INFO answers.
func facts(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}

// The oldest that will do. It is the oldest that all tests have been run on; users
// and rights, as docs/redis.md names them, came with it.
const oldest = 6

func tooOld(info map[string]string) string {
	if info["valkey_version"] != "" {
		return "" // the first one was 7.2
	}
	switch n := major(info); {
	case n == 0:
		return "it does not say which version it is"
	case n < oldest:
		return "it is Redis " + info["redis_version"] + ", and Gatehouse needs Redis 6.0 or Valkey 7.2, or later"
	}
	return ""
}

// major is the first number of the version of Redis, or of the one that a Valkey says
// to be as; 0 if it says none.
func major(info map[string]string) int {
	first, _, _ := strings.Cut(info["redis_version"], ".")
	n, err := strconv.Atoi(first)
	if err != nil {
		return 0
	}
	return n
}

// warnings say what may be lost with the settings of a server.
func warnings(info, settings map[string]string, seen bool) (list []string) {
	warn := func(text string) { list = append(list, text) }
	fsync := settings["appendfsync"]
	switch {
	case info["aof_enabled"] != "1":
		warn("appendonly is off: when Redis stops unexpectedly, sessions and challenges since its last snapshot are lost, and used links may work again; set appendonly yes and appendfsync always")
	case fsync == "everysec" || fsync == "no":
		warn("appendfsync is " + fsync + ": when the machine of Redis fails, the newest sessions are lost and links used just before may work again (everysec: up to about 2 seconds of them; no: about 30); set appendfsync always")
	case fsync == "always" && settings["no-appendfsync-on-rewrite"] == "yes":
		warn("no-appendfsync-on-rewrite is yes: while Redis rewrites its log, what it acknowledges is not on disk; set it to no")
	}
	if policy := info["maxmemory_policy"]; info["maxmemory"] != "0" {
		switch {
		case strings.HasPrefix(policy, "allkeys"):
			warn("maxmemory-policy is " + policy + ": when memory is short, Redis throws sessions away and people are logged out; set maxmemory-policy noeviction")
		case strings.HasPrefix(policy, "volatile"):
			warn("maxmemory-policy is " + policy + ": when memory is short, Redis throws counters of limits away, and whoever guesses passwords gets more tries; set maxmemory-policy noeviction")
		}
	}
	switch n, _ := strconv.Atoi(info["connected_slaves"]); {
	case n > 0 && major(info) < 7:
		warn("there are replicas, and this is Redis " + info["redis_version"] + ", which does not hold scripts to min-replicas-to-write: a primary that has lost touch with its replicas goes on accepting what a failover then drops; use Redis 7 or later")
	case n > 0 && settings["min-replicas-to-write"] == "0":
		warn("there are replicas, and min-replicas-to-write is 0: a primary that has lost touch with them goes on accepting what a failover then drops; set min-replicas-to-write 1 and min-replicas-max-lag 10")
	}
	if !seen {
		warn("this Redis does not let Gatehouse read its settings (CONFIG GET), so nobody has checked whether appendfsync is always and whether replicas are waited for")
	}
	return list
}
