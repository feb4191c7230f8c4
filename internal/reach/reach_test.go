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
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo/address"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/description"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"
)

func server(kind description.ServerKind, err error) description.Server {
	return description.Server{Addr: address.Address("db1:27017"), Kind: kind, LastError: err}
}

func TestExplain(t *testing.T) {
	alone := func(err error) description.Topology {
		return description.Topology{Servers: []description.Server{server(description.Unknown, err)}}
	}
	set := func(servers ...description.Server) description.Topology {
		return description.Topology{Kind: description.TopologyKindReplicaSetNoPrimary, SetName: "rs1", Servers: servers}
	}
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	lookup := &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "db1", IsNotFound: true}}
	hungUp := driver.Error{Message: "x", Wrapped: topology.ConnectionError{ConnectionID: "db1[-14]", Wrapped: io.EOF}}
	certificate := func(err error) error { return &tls.CertificateVerificationError{Err: err} }
	for _, c := range []struct {
		name string
		d    description.Topology
		says []string
	}{
		{"nobody listens", alone(dial(syscall.ECONNREFUSED)), []string{"nothing listens at db1:27017", "start MongoDB", "correct the address"}},
		{"no such host", alone(lookup), []string{"host db1 cannot be looked up", "correct it"}},
		{"members under names of their own", set(server(description.Unknown, lookup)), []string{"host db1 cannot be looked up", "rs.conf()"}},
		{"no way there", alone(dial(syscall.EHOSTUNREACH)), []string{"no way to db1:27017"}},
		{"another replica set", set(), []string{`replica set "rs1"`, "replicaSet=", "rs.status().set"}},
		{"another one, asked directly", description.Topology{Kind: description.TopologyKindSingle, SetName: "rs1", Servers: []description.Server{server(description.Unknown, nil)}}, []string{`"rs1"`, "replicaSet="}},
		{"no primary", set(server(description.ServerKindRSSecondary, nil), server(description.Unknown, dial(syscall.ECONNREFUSED))), []string{"no primary", "1 of 2 servers", "rs.status()", "nothing listens"}},
		{"TLS where there is none", alone(tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}), []string{"speaks no TLS", "leave tls=true out"}},
		{"no TLS where there is", alone(hungUp), []string{"hangs up", "add tls=true"}},
		{"an unknown authority", alone(certificate(x509.UnknownAuthorityError{})), []string{"not trusted", "tlsCAFile"}},
		{"another name", alone(certificate(x509.HostnameError{Host: "db1", Certificate: new(x509.Certificate)})), []string{"another name"}},
		{"expired", alone(certificate(x509.CertificateInvalidError{Reason: x509.Expired, Cert: new(x509.Certificate)})), []string{"renew it"}},
		{"a certificate of ours", alone(&net.OpError{Op: "remote error", Err: tls.AlertError(116)}), []string{"tlsCertificateKeyFile"}},
		{"silence", alone(nil), []string{"db1:27017 does not answer", "firewall", "tls=true"}},
		{"silence until the end", alone(context.DeadlineExceeded), []string{"does not answer"}},
		{"too old", description.Topology{CompatibilityErr: errors.New("wire version")}, []string{"5.0"}},
		{"something else", alone(errors.New("many\nlines")), []string{"db1:27017 cannot be used: many lines"}},
		{"nothing", description.Topology{}, []string{"no server was found"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cause := topology.ServerSelectionError{Desc: c.d, Wrapped: context.DeadlineExceeded}
			err := Explain(fmt.Errorf("find: %w", cause))
			if err == nil || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("err = %v, want one that holds its cause", err)
			}
			for _, says := range c.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%q does not say %q", err, says)
				}
			}
			if strings.ContainsAny(err.Error(), "\n{") {
				t.Errorf("more than a line, or the driver's picture of it: %q", err)
			}
		})
	}
}

func TestExplainManyServers(t *testing.T) {
	var d description.Topology
	for range 5 {
		d.Servers = append(d.Servers, server(description.Unknown, nil))
	}
	if err := Explain(topology.ServerSelectionError{Desc: d}); strings.Count(err.Error(), "does not answer") != most || !strings.HasSuffix(err.Error(), "and 2 more") {
		t.Errorf("%v", err)
	}
}

func TestExplainOthers(t *testing.T) {
	if err := Explain(io.EOF); err != nil {
		t.Errorf("of another error: %v", err)
	}
	err := Explain(topology.ServerSelectionError{Wrapped: context.Canceled})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("err = %v, want that it was interrupted", err)
	}
}
