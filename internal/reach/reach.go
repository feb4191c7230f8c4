// Package reach says why no server of MongoDB can be reached, and what to do. The
// driver's own words are its whole picture of the servers, in which the reason has to
// be looked for.
package reach

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/description"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"
)

// most is how many servers are named.
const most = 3

// fault is an error of the driver in other words.
type fault struct {
	text  string
	cause error
}

func (f *fault) Error() string { return f.text }
func (f *fault) Unwrap() error { return f.cause }

// Explain returns an error of the driver in one line that says what to do, if it is
// that no server was found; nil otherwise. Of the connection string it tells the
// addresses of servers and the name of the replica set.
func Explain(err error) error {
	selection, ok := errors.AsType[topology.ServerSelectionError](err)
	if !ok {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return &fault{"interrupted before a server was found", err}
	}
	return &fault{why(selection.Desc), err}
}

func why(d description.Topology) string {
	if d.CompatibilityErr != nil {
		return "the server is of a version that cannot be used: MongoDB 5.0 or later is needed"
	}
	ofSet := d.Kind&description.TopologyKindReplicaSet != 0
	if ofSet && len(d.Servers) == 0 {
		// Who says that it belongs elsewhere is struck off the list.
		return fmt.Sprintf("no server of the connection string belongs to the replica set %q: correct replicaSet= in it "+
			"(rs.status().set there says the name), or leave it out for a single server", d.SetName)
	}
	answering := 0
	var reasons []string
	for _, s := range d.Servers {
		if s.Kind != description.Unknown {
			answering++
			continue
		}
		reasons = append(reasons, of(s, d))
	}
	if more := len(reasons) - most; more > 0 {
		reasons = append(reasons[:most], fmt.Sprintf("and %d more", more))
	}
	if answering > 0 {
		reasons = append([]string{fmt.Sprintf("there is no primary that takes writes, %d of %d servers answer (rs.status() on one of them says more)",
			answering, len(d.Servers))}, reasons...)
	}
	if len(reasons) == 0 {
		return "no server was found under the connection string"
	}
	return strings.Join(reasons, "; ")
}

// of is why a server cannot be used.
func of(s description.Server, d description.Topology) string {
	at, err := s.Addr.String(), s.LastError
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		text := fmt.Sprintf("the host %s cannot be looked up: correct it in the connection string", dns.Name)
		if d.Kind&description.TopologyKindReplicaSet != 0 {
			text = fmt.Sprintf("the host %s cannot be looked up: a replica set is reached under the names that it has for its members "+
				"(rs.conf() there), which must be known here", dns.Name)
		}
		return text
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("the certificate of %s is for another name: use the name that stands in it", at)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return fmt.Sprintf("the certificate of %s is not valid at this time: renew it, or set the clock", at)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Sprintf("the certificate of %s is not trusted here: name the authority that signed it with tlsCAFile=FILE in the connection string", at)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return fmt.Sprintf("%s speaks no TLS: leave tls=true out of the connection string, or switch TLS on there", at)
	}
	if _, ok := errors.AsType[*net.OpError](err); ok && strings.Contains(err.Error(), "remote error: tls:") {
		return fmt.Sprintf("%s ends the handshake of TLS: it may ask for a certificate of this side (tlsCertificateKeyFile=FILE in the connection string)", at)
	}
	timeout, _ := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("nothing listens at %s: start MongoDB there, or correct the address in the connection string", at)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		return fmt.Sprintf("%s hangs up at once: add tls=true to the connection string if it speaks TLS, and leave it out if it does not", at)
	case err == nil && d.Kind == description.TopologyKindSingle && d.SetName != "":
		return fmt.Sprintf("%s does not answer, or does not belong to the replica set %q: correct the address or replicaSet= in the connection string", at, d.SetName)
	case err == nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || timeout != nil && timeout.Timeout():
		return fmt.Sprintf("%s does not answer: look at the address, at a firewall in between, and at tls=true in the connection string, "+
			"which must be there if it speaks TLS and not otherwise", at)
	case errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH):
		return fmt.Sprintf("there is no way to %s: look at the address and at the network", at)
	}
	return fmt.Sprintf("%s cannot be used: %s", at, strings.Join(strings.Fields(err.Error()), " "))
}
