package redis

import (
	"context"
	"fmt"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
)

// refusals are what Redis answers when it does not do what it was asked, by a
// piece of its answer, and what an operator does about it.
var refusals = []struct{ piece, means string }{
	{"OOM ", "Redis has reached its maxmemory and refuses to write: give it more memory"},
	{"READONLY", "this Redis is a replica that cannot be written: name its primary, or use redis+sentinel://"},
	{"UNBLOCKED", "this Redis has become a replica while its own were waited for"},
	{"WAIT cannot be used with replica", "this Redis is a replica that cannot be written: name its primary, or use redis+sentinel://"},
	{"MISCONF", "Redis cannot write to its disk and refuses to go on: see its log and free some space"},
	{"NOREPLICAS", "too few replicas are connected for min-replicas-to-write"},
	{"LOADING", "Redis is still reading its data from disk"},
	{"BUSY", "Redis is busy with a script of somebody else"},
	{"MASTERDOWN", "this Redis is a replica that has lost its primary"},
	{"CLUSTERDOWN", "the Cluster lacks servers for some of its slots"},
	{"TRYAGAIN", "the Cluster is moving slots"},
	{"MOVED ", "the Cluster is moving slots"},
	{"ASK ", "the Cluster is moving slots"},
	{"WRONGPASS", "Redis does not accept the user or password of the URL"},
	{"NOAUTH", "Redis wants a password: put it in the URL, redis://USER:PASSWORD@HOST"},
	{"NOPERM", "this Redis user may not do what Gatehouse needs: see the rights in docs/redis.md"},
	{"max number of clients", "Redis has no connections left: raise its maxclients"},
	{"first record does not look like a TLS handshake", "it does not speak TLS: use redis:// instead of rediss://"},
	{"x509:", "its certificate is not trusted: check the host name, or name its authority with ?ca=FILE"},
	{"tls:", "TLS with it cannot be set up"},
	{"DB index is out of range", "there is no database of that number"},
	{"cluster support disabled", "this Redis is no Cluster: use redis://"},
	{"No such master", "the Sentinels know no master of that name"},
	{"connection refused", "nobody answers there: is it running?"},
	{"no such host", "there is no host of that name"},
	{"no such file", "there is no such socket: is it running?"},
	{"connection reset", "it closed the connection"},
	{"unknown command 'SENTINEL'", "it is no Sentinel: use redis://"},
	{"unknown command `SENTINEL`", "it is no Sentinel: use redis://"},
	{"i/o timeout", "it does not answer in time"},
	{"deadline exceeded", "it does not answer in time"},
	{"EOF", "it closed the connection"},
	{"unknown command", "it lacks a command that Gatehouse needs: it must be Redis 6.0 or Valkey 7.2, or later"},
}

// meaning is what an error of Redis or of the way there means, or empty.
func meaning(err error) string {
	text := err.Error()
	for _, r := range refusals {
		if strings.Contains(text, r.piece) {
			return r.means
		}
	}
	return ""
}

// fault is the error of a command. What a caller's ctx ended is told as that; an
// answer that means a mistake of ours is internal; everything else, a lost answer
// among it, is gatehouse.ErrUnavailable. None repeats what was sent.
func fault(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("redis: %s: %w", doing, ctx.Err())
	}
	if why := meaning(err); why != "" {
		return fmt.Errorf("redis: %s: %w: %s", doing, gatehouse.ErrUnavailable, why)
	}
	if lostOnTheWay(err) {
		return fmt.Errorf("redis: %s: %w: %w", doing, gatehouse.ErrUnavailable, err)
	}
	return fmt.Errorf("redis: %s: %w", doing, err)
}
