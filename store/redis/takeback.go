package redis

import (
	"context"
	"slices"
	"sync"
	"time"
)

// owed are writes that are to be taken back and could not be yet.
type owed struct {
	open context.Context //nolint:containedctx // until Close
	end  context.CancelFunc

	mu   sync.Mutex
	list []command
}

func newOwed() *owed {
	open, end := context.WithCancel(context.Background())
	return &owed{open: open, end: end}
}

// owedAfter is how long it takes until it is tried again. Who comes back with the token
// of before must not be faster.
const owedAfter = 50 * time.Millisecond

// takeBack sends what takes a write back that too few replicas have confirmed. A
// replica that has gone may be why Redis refuses that as well, by min-replicas-to-write:
// then it is tried until it is done, as long as this process lives. It may come late,
// since it changes nothing but what nobody was told of.
func (c *Client) takeBack(ctx context.Context, back command) {
	if _, err := c.one(context.WithoutCancel(ctx), "take back", back); err == nil {
		return
	}
	c.owed.mu.Lock()
	defer c.owed.mu.Unlock()
	c.owed.list = append(c.owed.list, back)
	if len(c.owed.list) == 1 {
		go c.takeBackLate()
	}
}

func (c *Client) takeBackLate() {
	for wait(c.owed.open, owedAfter) == nil {
		c.owed.mu.Lock()
		list := slices.Clone(c.owed.list) // more may come meanwhile
		c.owed.mu.Unlock()
		bounded, cancel := context.WithTimeout(c.owed.open, c.options.Timeout)
		answers := c.wire.do(bounded, list...)
		cancel()
		var still []command
		for i, a := range answers {
			if a.err != nil {
				still = append(still, list[i])
			}
		}
		c.owed.mu.Lock()
		c.owed.list = append(still, c.owed.list[len(list):]...)
		done := len(c.owed.list) == 0
		c.owed.mu.Unlock()
		if done {
			return
		}
	}
}
