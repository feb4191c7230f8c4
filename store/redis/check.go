package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// check looks at each server that is written to: version, role, and whether it
// takes a write; decides how many replicas are waited for; and collects warnings.
func (c *Client) check(ctx context.Context, a address) error {
	ctx, cancel := context.WithTimeout(ctx, 3*c.options.Timeout)
	defer cancel()
	servers := c.wire.servers()
	var primaries []primary
	for _, where := range slices.Sorted(maps.Keys(servers)) {
		p, is, err := c.checkServer(ctx, a, servers[where])
		if err != nil {
			return err
		}
		if is {
			primaries = append(primaries, p)
		}
	}
	if len(primaries) == 0 {
		return fmt.Errorf("redis at %s: %w: %s", c.where, gatehouse.ErrUnavailable, "this Redis is a replica that cannot be written: name its primary, or use redis+sentinel://")
	}
	if err := c.probe(ctx); err != nil {
		return fmt.Errorf("redis at %s: %w", c.where, err)
	}
	c.replicas = replicasOf(c.options.Replicas, a.mode == sentinel || len(servers) > len(primaries), primaries)
	for _, p := range primaries {
		c.waiting = append(c.waiting, p.waiting(c.replicas, a.mode == sentinel, c.patience())...)
	}
	if c.replicas > 0 {
		// That too few are there now has been warned of, and may pass.
		if err := c.confirm(ctx); err != nil && !errors.Is(err, errTooFew) {
			return fmt.Errorf("redis at %s: %w", c.where, err)
		}
	}
	c.warnings = distinct(c.warnings)
	c.waiting = distinct(c.waiting)
	return nil
}

func distinct(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// replicasOf is how many replicas are waited for, as they were chosen, or found.
func replicasOf(chosen int, some bool, primaries []primary) int {
	switch {
	case chosen < 0:
		return 0
	case chosen > 0:
		return chosen
	case some || slices.ContainsFunc(primaries, func(p primary) bool { return p.connected > 0 }):
		return 1
	}
	return 0
}

// probe is nil if Redis takes a write.
func (c *Client) probe(ctx context.Context) error {
	_, err := c.one(ctx, "write", c.probing())
	return err
}

// confirm is nil if Redis takes a write, and enough replicas have it.
func (c *Client) confirm(ctx context.Context) error {
	_, err := c.replicated(ctx, "write", c.probing(), nil)
	return err
}

func (c *Client) probing() command {
	return command{word: []string{"SET"}, keys: []string{c.key("probe", "")}, args: []string{"1", "PX", "60000"}}
}

// primary is what a server that is written to says of its replicas.
type primary struct {
	connected  int
	minimum    int // min-replicas-to-write
	minimumSet bool
	old        string // the version of a Redis before 7, which does not hold scripts to that
}

// waiting are warnings for those who wait for n replicas of the primary, or for none.
func (p primary) waiting(n int, watched bool, patience time.Duration) (list []string) {
	if n == 0 {
		list = p.unwaited(watched)
	} else {
		if p.connected < n {
			list = append(list, fmt.Sprintf("%d are waited for and %d connected: until there are more replicas, logins, refreshes and logouts are answered 503", n, p.connected))
		}
		if p.minimumSet && p.minimum < n {
			list = append(list, fmt.Sprintf("replicas that are waited for: %d, and min-replicas-to-write is %d: while too few are in touch, each write waits %v before it is refused; set min-replicas-to-write %d and min-replicas-max-lag 10, so that it is refused at once", n, p.minimum, patience, n))
		}
	}
	if p.minimumSet && p.minimum > n && p.old == "" {
		list = append(list, fmt.Sprintf("replicas that are waited for: %d, and min-replicas-to-write is %d: while only %d are in touch, Redis refuses to write, though Gatehouse would go on", n, p.minimum, p.minimum-1))
	}
	return list
}

// unwaited are warnings for those who wait for none.
func (p primary) unwaited(watched bool) (list []string) {
	if p.connected > 0 || watched {
		list = append(list, "there are replicas, and none is waited for: a failover loses what was acknowledged last, so that people are logged out, sessions that were ended live again and used links work again; set redis-replicas to auto")
	}
	if p.connected > 0 && p.old != "" {
		list = append(list, "there are replicas, and this is Redis "+p.old+", which does not hold scripts to min-replicas-to-write: a primary that has lost touch with its replicas goes on accepting what a failover then drops; use Redis 7 or later")
	} else if p.connected > 0 && p.minimumSet && p.minimum == 0 {
		list = append(list, "there are replicas, and min-replicas-to-write is 0: a primary that has lost touch with them goes on accepting what a failover then drops; set min-replicas-to-write 1 and min-replicas-max-lag 10")
	}
	return list
}

func (c *Client) checkServer(ctx context.Context, a address, w wire) (p primary, is bool, err error) {
	told := w.do(ctx, command{word: []string{"INFO"}})[0]
	if told.err != nil {
		return p, false, c.unfit(told.err)
	}
	info := facts(told.text)
	if why := tooOld(info); why != "" {
		return p, false, fmt.Errorf("redis at %s: %s", c.where, why)
	}
	mode := cmp.Or(info["server_mode"], info["redis_mode"]) // Valkey says the first, since 8
	if mode == "cluster" && a.mode != cluster {
		return p, false, fmt.Errorf("redis at %s: it is part of a Cluster: use redis+cluster://", c.where)
	}
	if mode != "cluster" && a.mode == cluster {
		return p, false, fmt.Errorf("redis at %s: it is no Cluster: use redis://", c.where)
	}
	if mode == "sentinel" {
		return p, false, fmt.Errorf("redis at %s: it is a Sentinel: use redis+sentinel://HOST/MASTER", c.where)
	}
	if info["role"] != "master" {
		return p, false, nil
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
	p.connected, _ = strconv.Atoi(info["connected_slaves"])
	if major(info) < 7 {
		p.old = info["redis_version"]
	}
	if text, set := settings["min-replicas-to-write"]; set {
		p.minimum, err = strconv.Atoi(text)
		p.minimumSet = err == nil
	}
	return p, true, nil
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
	if !seen {
		warn("this Redis does not let Gatehouse read its settings (CONFIG GET), so nobody has checked whether appendfsync is always and whether replicas are waited for")
	}
	return list
}
