package hashing

import (
	"context"
	"testing"
)

func TestSmoke(t *testing.T) {
	p, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	h, err := p.Hash(context.Background(), []byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	ok, re, err := p.Verify(context.Background(), h, []byte("password"))
	t.Log(h, ok, re, err)
	ok, re, err = p.Verify(context.Background(), h, []byte("passwordx"))
	t.Log(h, ok, re, err)
	ok, re, err = p.Verify(context.Background(), "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a", []byte("U*U*U"))
	t.Log(ok, re, err)
}
