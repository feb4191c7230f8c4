package redis

import "hash/fnv"

// buckets is how many slots the records are spread over. It can never be changed:
// what lies in Redis would not be found.
const buckets = 64

// The kinds of keys.
const (
	sessionKey   = "s"  // a session
	challengeKey = "c"  // a challenge
	listKey      = "l"  // the ids of a user's sessions
	userKey      = "u"  // a copy of a user, or the lease on one
	blockKey     = "b"  // the writes to a user that are under way
	expiryKey    = "x-" // followed by a kind: the ids in a bucket, by when they expire
)

// key is the name of a key. What stands in braces says in which slot of a Cluster
// it lies.
func (c *Client) key(kind, id string) string {
	return c.inBucket(bucketOf(id), kind) + ":" + id
}

// expiries is the key of the index beside the record.
func (c *Client) expiries(kind, id string) string {
	return c.inBucket(bucketOf(id), expiryKey+kind)
}

func (c *Client) inBucket(n uint32, kind string) string {
	const digits = "0123456789abcdef"
	return c.options.Prefix + ":{" + digits[n/16:n/16+1] + digits[n%16:n%16+1] + "}:" + kind
}

func bucketOf(id string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	return h.Sum32() % buckets
}
