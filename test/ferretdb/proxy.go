package main

import (
	"net"
	"strings"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// proxy stands before the server and lets one command through at a time.
type proxy struct {
	server string

	mu     sync.Mutex // held from a command to its answer
	unique map[string][]string
}

func (p *proxy) serve(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		go p.carry(client)
	}
}

// carry serves one client over a connection of its own to the server.
func (p *proxy) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	for {
		m, err := read(client)
		if err != nil {
			return
		}
		answer, err := p.ask(server, m)
		if err != nil {
			return
		}
		if answer == nil {
			continue
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

// ask hands the message to the server, alone, and returns what it answers: nil
// if nothing is to be answered.
func (p *proxy) ask(server net.Conn, m message) (message, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !m.answered() {
		_, err := server.Write(m)
		return nil, err
	}
	command, err := m.command()
	if err != nil { // of the old protocol: the first message of a connection
		return forward(server, m)
	}
	c := conn{server}
	if d, err := p.guarded(c, command); d != nil || err != nil {
		if err != nil {
			return nil, err
		}
		return encode(d, m.id(), m.id())
	}
	answer, err := forward(server, m)
	if err != nil {
		return nil, err
	}
	if d, err := answer.command(); err == nil {
		better := duplicate(command, d)
		if better == nil && command[0].Key == "listIndexes" {
			better = sparse(d)
		}
		if better != nil {
			return encode(better, answer.id(), m.id())
		}
	}
	return answer, nil
}

func forward(server net.Conn, m message) (message, error) {
	if _, err := server.Write(m); err != nil {
		return nil, err
	}
	return read(server)
}

// duplicate is what MongoDB answers when an update breaks a unique index, if
// the answer is what FerretDB says then: an internal error.
func duplicate(command, answer bson.D) bson.D {
	text, _ := get(answer, "errmsg").(string)
	if number(get(answer, "code")) != 1 || !strings.Contains(text, "UNIQUE constraint failed") {
		return nil
	}
	return refusal(command)
}

// sparse says of the unique indexes in an answer to listIndexes that they pass
// over documents without the field. All of FerretDB do, and it never says so.
func sparse(answer bson.D) bson.D {
	indexes, _ := get(answer, "cursor", "firstBatch").(bson.A)
	for i, x := range indexes {
		if index, ok := x.(bson.D); ok && get(index, "unique") == true {
			indexes[i] = with(index, "sparse", true)
		}
	}
	return answer
}

const duplicateKey = 11000

// refusal is the answer to a command that would break a unique index.
func refusal(command bson.D) bson.D {
	const text = "E11000 duplicate key error"
	if command[0].Key == "findAndModify" {
		return bson.D{{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: text}, {Key: "code", Value: int32(duplicateKey)}, {Key: "codeName", Value: "DuplicateKey"}}
	}
	return bson.D{
		{Key: "n", Value: int32(0)}, {Key: "nModified", Value: int32(0)},
		{Key: "writeErrors", Value: bson.A{bson.D{{Key: "index", Value: int32(0)}, {Key: "code", Value: int32(duplicateKey)}, {Key: "errmsg", Value: text}}}},
		{Key: "ok", Value: 1.0},
	}
}
