package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/reach"
)

// Errors of [Open], beside gatehouse.ErrUnavailable.
var (
	// ErrURI: the connection string cannot be used.
	ErrURI = errors.New("the connection string is not one")
	// ErrServer: the server lacks what Gatehouse relies on.
	ErrServer = errors.New("the server cannot be used")
	// ErrForeign: collections of these names belong to somebody else.
	ErrForeign = errors.New("not a database of Gatehouse")
	// ErrNewer: the collections belong to a later version of Gatehouse.
	ErrNewer = errors.New("the database was made by a later version of Gatehouse")
	// ErrIndex: there is an index that is not what it should be.
	ErrIndex = errors.New("an index is not as it must be")
)

// duplicateKey is the code for a value that a unique index has already.
const duplicateKey = 11000

// refusals are the codes with which a server says that it cannot serve now, and
// what they mean.
var refusals = []struct {
	codes []int
	text  string
}{
	{[]int{11, 18, 8000}, "the server refuses the user or the password of the connection string, or its plan is used up"},
	{[]int{13, 31}, "the user of the connection string lacks the right: it needs the role readWrite on this database"},
	{[]int{10107, 13435, 13436, 11600, 11602, 189, 91, 133, 134}, "there is no primary that takes writes at the moment"},
	{[]int{64, 100}, "no majority of the replica set has confirmed the write"},
	{[]int{14031, 39, 137}, "the disk of the server is full"},
	{[]int{50, 262, 202, 24, 46}, "the server was too slow"},
	{[]int{6, 7, 89, 9001, 112, 225, 246, 11601, 462}, "the server was interrupted"},
}

// explain says what an error of the driver means to a store. The server's own
// words are left out where they may repeat values, such as an address.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case slices.ContainsFunc([]error{gatehouse.ErrStale, gatehouse.ErrExists, gatehouse.ErrNotFound, gatehouse.ErrUnavailable},
		func(known error) bool { return errors.Is(err, known) }):
		return err
	case errors.Is(err, driver.ErrNoDocuments):
		return gatehouse.ErrNotFound
	case driver.IsDuplicateKeyError(err):
		return gatehouse.ErrExists
	case errors.Is(err, driver.ErrClientDisconnected):
		return fmt.Errorf("%w: the store is closed", gatehouse.ErrUnavailable)
	}
	server, told := errors.AsType[driver.ServerError](err)
	if told {
		for _, r := range refusals {
			if slices.ContainsFunc(r.codes, server.HasErrorCode) {
				return fmt.Errorf("%w: %s (code %v)", gatehouse.ErrUnavailable, r.text, server.ErrorCodes())
			}
		}
	}
	if unreached := reach.Explain(err); unreached != nil {
		return fmt.Errorf("%w: %w", gatehouse.ErrUnavailable, unreached)
	}
	switch {
	case driver.IsTimeout(err) || errors.Is(err, context.Canceled):
		return fmt.Errorf("%w: the server has not answered in time: %w", gatehouse.ErrUnavailable, err)
	case driver.IsNetworkError(err):
		return fmt.Errorf("%w: the server cannot be reached: %w", gatehouse.ErrUnavailable, err)
	case told && (server.HasErrorLabel("RetryableWriteError") || server.HasErrorLabel("TransientTransactionError") ||
		server.HasErrorLabel("SystemOverloadedError")):
		return fmt.Errorf("%w: the server is busy (code %v)", gatehouse.ErrUnavailable, server.ErrorCodes())
	case told:
		return fmt.Errorf("the server answers with code %v", server.ErrorCodes())
	case errors.Is(err, errRecord):
		return err
	}
	// What is left is the driver's about connections, of many types.
	return fmt.Errorf("%w: the server cannot be reached: %w", gatehouse.ErrUnavailable, err)
}
