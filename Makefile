# make run     start Gatehouse on http://127.0.0.1:8080
# make test    every test, in a real browser too; installs what it needs
# make test-versions   the tests of the stores on other versions of the databases
# make check   what must be in order before a change lands
# make bench   the benchmarks, with their ratios in one table
# make fuzz    each fuzz test for FUZZTIME (default 30s)
# make attack  attack the binary; make attack-prove: show that each attack can succeed
# make css     build the style sheet; make generate: the settings reference, the shape of the schema

FUZZTIME ?= 30s

.PHONY: run build test test-versions check bench fuzz attack attack-prove css generate

run:
	go run ./cmd/gatehouse

build:
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/gatehouse ./cmd/gatehouse

test:
	./tools/test

test-versions:
	./tools/versions

check:
	./tools/check

bench:
	./tools/bench

fuzz:
	./tools/fuzz $(FUZZTIME)

attack:
	./tools/attack

attack-prove:
	./tools/attack --prove

css:
	./tools/css/build

generate:
	go test ./internal/server -run Reference -update
	go test ./store/postgres -run Shape -update
