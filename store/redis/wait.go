package redis

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valkey-io/valkey-go"
)

// replicate sends WAIT behind the command on one connection, since WAIT is about
// what was written on that one. The connection is nobody else's meanwhile.
func (l *lib) replicate(ctx context.Context, c command, replicas int, patience time.Duration) (answer, int64) {
	if l.homes != nil {
		return l.replicateAtHome(ctx, c, replicas, patience)
	}
	return replicateBy(ctx, l.client, c, replicas, patience, false)
}

func replicateBy(ctx context.Context, client valkey.Client, c command, replicas int, patience time.Duration, asking bool) (a answer, confirmed int64) {
	if c.script != nil {
		// By its name it might not be known, and that would be told only when WAIT has
		// waited for nothing.
		c.word = []string{"EVAL", c.script.text}
	}
	list := []valkey.Completed{
		(&lib{client: client}).build(c),
		client.B().Arbitrary("WAIT", strconv.Itoa(replicas), strconv.FormatInt(patience.Milliseconds(), 10)).Blocking(),
	}
	if asking {
		list = slices.Insert(list, 0, client.B().Arbitrary("ASKING").Build())
	}
	results := client.DoMulti(ctx, list...)
	m, err := results[len(results)-2].ToMessage()
	if a = told(m, err); a.err != nil {
		return a, 0
	}
	confirmed, err = results[len(results)-1].ToInt64()
	if err != nil {
		return answer{err: err}, 0
	}
	return a, confirmed
}

// homes remembers on which server of a Cluster keys lie. The library knows as well,
// but when it follows a key to where it was moved, it sends the command there alone,
// and the answer of WAIT is that of another server.
type homes struct {
	mu sync.Mutex
	at map[string]string // by what stands in the braces of a key
}

func (h *homes) of(key string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at[slotName(key)]
}

// set remembers a server, or with "" that nobody knows.
func (h *homes) set(key, where string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at[slotName(key)] = where
}

// slotName is what stands in the braces of a key of ours.
func slotName(key string) string {
	_, rest, _ := strings.Cut(key, "{")
	name, _, _ := strings.Cut(rest, "}")
	return name
}

// detours is how often a command is sent on.
const detours = 5

// replicateAtHome asks the server where the key was last, and goes where that one
// sends it.
func (l *lib) replicateAtHome(ctx context.Context, c command, replicas int, patience time.Duration) (a answer, confirmed int64) {
	key := c.keys[0]
	where, asking := l.homes.of(key), false
	if where == "" {
		where = l.find(ctx, key)
	}
	for range detours {
		client, known := l.client.Nodes()[where]
		if !known { // the library is about to hear of it, or of none
			l.homes.set(key, "")
			return answer{err: cmp.Or(a.err, valkey.ErrNoSlot)}, 0
		}
		a, confirmed = replicateBy(ctx, client, c, replicas, patience, asking)
		switch moved, asked := redirection(a.err); {
		case moved != "":
			where, asking = moved, false
			l.homes.set(key, where)
		case asked != "":
			where, asking = asked, true
		case lostOnTheWay(a.err):
			l.homes.set(key, "") // somebody else may take its place
			return a, 0
		default:
			return a, confirmed
		}
	}
	return a, 0
}

// find asks any server for the one where a key lies, or is to lie.
func (l *lib) find(ctx context.Context, key string) string {
	for where, client := range l.client.Nodes() {
		err := client.Do(ctx, client.B().Exists().Key(key).Build()).Error()
		if lostOnTheWay(err) {
			continue
		}
		if moved, _ := redirection(err); moved != "" {
			where = moved
		}
		l.homes.set(key, where)
		return where
	}
	return ""
}

// redirection is where the answer of a server sends who asked it: from now on, or
// this once.
func redirection(err error) (moved, asked string) {
	if refused, ok := valkey.IsValkeyErr(err); ok {
		moved, _ = refused.IsMoved()
		asked, _ = refused.IsAsk()
	}
	return moved, asked
}
