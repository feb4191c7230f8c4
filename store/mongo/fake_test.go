package mongo

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// fake is a server that answers as a test says: to see what the store makes of
// answers that cannot be had from a healthy server.
type fake struct {
	hello  bson.D                      // beside what every server answers
	answer func(bson.D) (bson.D, bool) // false: hang up instead

	mu       sync.Mutex
	commands []bson.D
}

// start serves, and returns a connection string.
func (f *fake) start(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	var open sync.Map
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Store(c, nil)
			serving.Go(func() { defer c.Close(); f.serve(c, l.Addr().String()) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		open.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
		serving.Wait()
	})
	return "mongodb://" + l.Addr().String() + "/test"
}

func (f *fake) serve(c net.Conn, me string) {
	const opReply, opQuery, opMsg = 1, 2004, 2013
	for {
		header := make([]byte, 16)
		if _, err := io.ReadFull(c, header); err != nil {
			return
		}
		body := make([]byte, binary.LittleEndian.Uint32(header)-16)
		if _, err := io.ReadFull(c, body); err != nil {
			return
		}
		op := binary.LittleEndian.Uint32(header[12:])
		var command bson.D
		if op == opQuery {
			i := bytes.IndexByte(body[4:], 0)
			bson.Unmarshal(body[4+i+1+8:], &command)
		} else {
			command = message(body)
		}
		answer, ok := f.reply(command, me)
		if !ok {
			return
		}
		document, _ := bson.Marshal(answer)
		var out []byte
		if op == opQuery {
			out = append(make([]byte, 16+20), document...)
			binary.LittleEndian.PutUint32(out[12:], opReply)
			binary.LittleEndian.PutUint32(out[32:], 1) // one document
		} else {
			out = append(make([]byte, 16+5), document...)
			binary.LittleEndian.PutUint32(out[12:], opMsg)
		}
		binary.LittleEndian.PutUint32(out, uint32(len(out)))
		copy(out[8:12], header[4:8]) // which request is answered
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

// message is the command in a message of today, without the sequences beside it.
func message(body []byte) (command bson.D) {
	for rest := body[4:]; len(rest) > 5; {
		size := binary.LittleEndian.Uint32(rest[1:])
		if rest[0] == 0 {
			bson.Unmarshal(rest[1:1+size], &command)
		}
		rest = rest[1+size:]
	}
	return command
}

func (f *fake) reply(command bson.D, me string) (bson.D, bool) {
	switch command[0].Key {
	case "hello", "isMaster", "ismaster":
		return append(d("ok", 1.0, "helloOk", true, "isWritablePrimary", true, "ismaster", true, "maxBsonObjectSize", 16<<20,
			"maxMessageSizeBytes", 48<<20, "maxWriteBatchSize", 100000, "minWireVersion", 0, "maxWireVersion", 21, "me", me,
			"hosts", bson.A{me}, "logicalSessionTimeoutMinutes", 30), f.hello...), true
	case "ping", "endSessions":
		return d("ok", 1.0), true
	}
	f.mu.Lock()
	f.commands = append(f.commands, command)
	f.mu.Unlock()
	return f.answer(command)
}

// said are the commands of this name that have arrived.
func (f *fake) said(name string) (list []bson.D) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.commands {
		if c[0].Key == name {
			list = append(list, c)
		}
	}
	return list
}

// healthy answers what a server in order does, of a database that is prepared.
func healthy(command bson.D) bson.D {
	switch command[0].Key {
	case "buildInfo":
		return d("ok", 1.0, "version", "7.0.1", "versionArray", bson.A{7, 0, 1, 0})
	case "find":
		return d("ok", 1.0, "cursor", d("id", int64(0), "ns", "test.x", "firstBatch", bson.A{d("_id", "schema", "version", int64(1))}))
	case "listCollections":
		return d("ok", 1.0, "cursor", d("id", int64(0), "ns", "test.x", "firstBatch", bson.A{}))
	case "listIndexes":
		list := bson.A{}
		for collection, indexes := range indexes {
			if command[0].Value == "gatehouse_"+collection {
				for _, i := range indexes {
					list = append(list, d("name", i.name, "key", i.key, "unique", i.unique, "sparse", i.unique, "v", 2))
				}
			}
		}
		return d("ok", 1.0, "cursor", d("id", int64(0), "ns", "test.x", "firstBatch", list))
	}
	return d("ok", 1.0, "n", 1, "nModified", 1)
}

func field(document bson.D, name string) any {
	for _, e := range document {
		if e.Key == name {
			return e.Value
		}
	}
	return nil
}
