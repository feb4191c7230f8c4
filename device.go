package gatehouse

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A device token says that users have logged in from a browser before. It lets
// nobody in: it only gives their next tries a lane of their own (OWASP, Device
// Cookies). It names neither the users nor the browser:
//
//	version ‖ random id ‖ time of issue ‖ a tag of each user ‖ MAC over all
//
// A tag is a MAC over the id and the user's address, so that it can be checked
// before anybody knows whether there is such a user, and means nothing elsewhere.
const (
	deviceVersion  = 1
	deviceID       = 16
	deviceHead     = 1 + deviceID + 4
	deviceTag      = 8
	maxDeviceTags  = 8 // users of one browser; one more takes the place of the oldest
	deviceLifetime = 400 * 24 * time.Hour
)

// device is an opened device token.
type device struct {
	id   [deviceID]byte
	tags [][deviceTag]byte // the user who logged in last, first
}

// openDevice is the device that a token is of. A token that is not ours, or too
// old, is that of no device.
func (g *Gatehouse) openDevice(token string) (d device, ok bool) {
	if token == "" || len(token) > base64.RawURLEncoding.EncodedLen(deviceHead+maxDeviceTags*deviceTag+sha256.Size) {
		return device{}, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	// The decoder skips line breaks: one token has one spelling.
	if err != nil || base64.RawURLEncoding.EncodedLen(len(b)) != len(token) || len(b) < deviceHead+sha256.Size || (len(b)-deviceHead-sha256.Size)%deviceTag != 0 || b[0] != deviceVersion {
		return device{}, false
	}
	body, mac := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if !slices.ContainsFunc(g.deviceKeys, func(key []byte) bool { return hmac.Equal(macOf(key, body), mac) }) {
		return device{}, false
	}
	issued := time.Unix(int64(binary.BigEndian.Uint32(body[1+deviceID:]))*60, 0)
	if age := now().Sub(issued); age > deviceLifetime || age < -clockSkew {
		return device{}, false
	}
	copy(d.id[:], body[1:])
	for tag := range slices.Chunk(body[deviceHead:], deviceTag) {
		d.tags = append(d.tags, [deviceTag]byte(tag))
	}
	return d, true
}

// knows reports whether the user with this address has logged in from d.
func (g *Gatehouse) knows(d device, emailKey string) bool {
	return slices.ContainsFunc(g.deviceKeys, func(key []byte) bool { return slices.Contains(d.tags, d.tagOf(key, emailKey)) })
}

// tagOf is the tag of the user with this address on d.
func (d device) tagOf(key []byte, emailKey string) [deviceTag]byte {
	// No token begins with a zero, so no tag is a part of the MAC of one.
	return [deviceTag]byte(macOf(key, append(append([]byte{0}, d.id[:]...), emailKey...)))
}

// deviceToken is the token of d, or of a new device, once u has logged in there,
// and until when it is good.
func (g *Gatehouse) deviceToken(d device, u *User) (string, time.Time) {
	if d.id == ([deviceID]byte{}) {
		_, _ = rand.Read(d.id[:]) // never returns an error
	}
	key := g.deviceKeys[0]
	tag := d.tagOf(key, u.EmailKey)
	tags := append([][deviceTag]byte{tag}, slices.DeleteFunc(slices.Clone(d.tags), func(t [deviceTag]byte) bool { return t == tag })...)
	b := append([]byte{deviceVersion}, d.id[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(now().Unix()/60))
	for _, t := range tags[:min(len(tags), maxDeviceTags)] {
		b = append(b, t[:]...)
	}
	return base64.RawURLEncoding.EncodeToString(append(b, macOf(key, b)...)), now().Add(deviceLifetime)
}

// unfamiliar says what is new about a login of u from d: "device", "network", both
// or nothing. The first login of all is not unfamiliar: there is nobody to warn.
//
// What the live sessions of u tell need not be looked for in the events.
func (g *Gatehouse) unfamiliar(ctx context.Context, u *User, d device, live []*Session) (string, error) {
	if _, ok := ctx.Value(clientKey{}).(Client); !ok {
		return "", nil // a program about its own users
	}
	here := place(clientOf(ctx).Address)
	logins := len(live)
	seen := slices.ContainsFunc(live, func(s *Session) bool { return place(s.Address) == here })
	// Most logins find what they look for in the first few. Refusals are among
	// them; of these there are no more than the limits let through.
	q := EventQuery{UserID: u.ID, Kind: EventLogin, Limit: 5}
	for range 8 {
		if seen {
			break
		}
		list, err := g.store.Events(ctx, q)
		if err != nil {
			return "", storeFault("events", err)
		}
		for _, e := range list {
			if e.Outcome == outcomeOK {
				logins++
				// Where events hold no address, no place can be new.
				seen = seen || g.cfg.EventAddresses == AddressNone || place(e.Address) == here
			}
		}
		if len(list) < q.Limit {
			break
		}
		q.Before, q.Limit = list[len(list)-1].ID, 50
	}
	var what []string
	if logins > 0 && !g.knows(d, u.EmailKey) {
		what = append(what, "device")
	}
	if logins > 0 && !seen {
		what = append(what, "network")
	}
	return strings.Join(what, " "), nil
}

// place is the part of an address that changes when people are somewhere else,
// and not with every new lease: 16 bits of IPv4, 32 of IPv6. Events may hold no
// more than a network, which is smaller than that.
func place(address string) netip.Prefix {
	a, err := netip.ParseAddr(address)
	if network, nerr := netip.ParsePrefix(address); nerr == nil {
		a, err = network.Addr(), nil
	}
	if err != nil {
		return netip.Prefix{}
	}
	bits := 32
	if a = a.Unmap().WithZone(""); a.Is4() {
		bits = 16
	}
	p, _ := a.Prefix(bits) // never fails with fewer bits than there are
	return p
}

func macOf(key, message []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(message)
	return m.Sum(nil)
}
