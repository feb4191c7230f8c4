package hashing

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// parsePHC reads what stands behind the name in the PHC string format, without a
// version: parameters of these names, salt and key.
func parsePHC(s string, salts lengths, names ...string) (values []uint32, salt, key []byte, err error) {
	part := strings.Split(s, "$")
	if len(part) != 3 {
		return nil, nil, nil, malformed("want parameters, a salt and a key")
	}
	if values, err = parseNumbers(part[0], names...); err != nil {
		return nil, nil, nil, err
	}
	if salt, err = decodeBase64(part[1], salts); err != nil {
		return nil, nil, nil, malformed("salt: %v", err)
	}
	if key, err = decodeBase64(part[2], keys); err != nil {
		return nil, nil, nil, malformed("key: %v", err)
	}
	return values, salt, key, nil
}

// parseNumbers reads numbers with these names, in this order.
func parseNumbers(s string, names ...string) ([]uint32, error) {
	part := strings.Split(s, ",")
	if len(part) != len(names) {
		return nil, malformed("want the parameters %s", strings.Join(names, ", "))
	}
	values := make([]uint32, len(names))
	for i, name := range names {
		digits, ok := strings.CutPrefix(part[i], name+"=")
		if !ok {
			return nil, malformed("want the parameters %s in this order", strings.Join(names, ", "))
		}
		if values[i], ok = parseNumber(digits); !ok {
			return nil, malformed("parameter %s is not a plain number", name)
		}
	}
	return values, nil
}

// parseNumber takes one spelling of each number: signs, leading zeros and
// underscores would be others.
func parseNumber(digits string) (uint32, bool) {
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), err == nil && strconv.FormatUint(n, 10) == digits
}

// within is nil for a parameter within its bounds.
func within(name string, value, least, most uint32) error {
	if value < least || value > most {
		return fmt.Errorf("%s is %d, want %d to %d", name, value, least, most)
	}
	return nil
}

// lengths are how many bytes there may be.
type lengths struct{ least, most int }

var (
	salts        = lengths{8, 64}
	foreignSalts = lengths{1, 128} // some systems have short ones, or take them in hex
	keys         = lengths{16, 64}
)

// encoding is base64 without padding and with a single spelling of each value.
var encoding = base64.RawStdEncoding.Strict()

func decodeBase64(s string, want lengths) ([]byte, error) {
	// The decoder skips line ends, so that they would be a second spelling.
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("not base64")
	}
	b, err := encoding.DecodeString(s)
	if err != nil {
		return nil, errors.New("not base64") // the cause would quote a byte of it
	}
	if len(b) < want.least || len(b) > want.most {
		return nil, fmt.Errorf("%d bytes, want %d to %d", len(b), want.least, want.most)
	}
	return b, nil
}
