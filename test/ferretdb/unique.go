package main

import (
	"fmt"
	"net"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A unique index over an array is, in MongoDB, one over its elements: no two
// documents have one in common. FerretDB compares whole arrays. Since commands
// pass here one at a time, what MongoDB would find in the index can be looked
// for before each write: that is done below. It shows what Gatehouse makes of
// the answer of MongoDB, and not that MongoDB gives it.

// conn is a connection on which the proxy asks questions of its own.
type conn struct{ net.Conn }

func (c conn) run(command bson.D) (bson.D, error) {
	m, err := encode(command, 1, 0)
	if err != nil {
		return nil, err
	}
	answer, err := forward(c, m)
	if err != nil {
		return nil, err
	}
	return answer.command()
}

// guarded runs a command that could give two documents the same element under a
// unique index. It answers nil if the command is none of these, or harmless.
func (p *proxy) guarded(c conn, command bson.D) (bson.D, error) {
	if len(command) == 0 {
		return nil, nil
	}
	lists := map[string]string{"insert": "documents", "update": "updates", "findAndModify": ""}
	collection, _ := command[0].Value.(string)
	database, _ := get(command, "$db").(string)
	namespace := database + "." + collection
	switch command[0].Key {
	case "createIndexes", "dropIndexes", "drop":
		delete(p.unique, namespace)
	case "dropDatabase":
		clear(p.unique)
	}
	list, writes := lists[command[0].Key]
	if !writes {
		return nil, nil
	}
	paths, err := p.paths(c, database, collection)
	if err != nil || len(paths) == 0 {
		return nil, err
	}
	if list == "" {
		update, _ := get(command, "update").(bson.D)
		query, _ := get(command, "query").(bson.D)
		if taken, err := taken(c, database, collection, paths, query, update); taken || err != nil {
			return refusal(command), err
		}
		return nil, nil
	}
	writesOf, _ := get(command, list).(bson.A)
	if list == "updates" {
		return each(c, command, list, writesOf, func(write bson.D) (bool, error) {
			query, _ := get(write, "q").(bson.D)
			update, _ := get(write, "u").(bson.D)
			return taken(c, database, collection, paths, query, update)
		}, func(bson.D) {})
	}
	owners, clash, err := owners(c, database, collection, paths, writesOf)
	if !clash || err != nil {
		return nil, err
	}
	return each(c, command, list, writesOf, func(document bson.D) (bool, error) {
		return owners.someoneElse(document), nil
	}, owners.add)
}

// ownership is the id of the document that has an element, by path.
type ownership map[string]map[any]any

func (o ownership) add(document bson.D) {
	for path, owner := range o {
		elements, _ := written(document, path).(bson.A)
		for _, e := range elements {
			owner[e] = get(document, "_id")
		}
	}
}

func (o ownership) someoneElse(document bson.D) bool {
	for path, owner := range o {
		elements, _ := written(document, path).(bson.A)
		for _, e := range elements {
			if id, owned := owner[e]; owned && id != get(document, "_id") {
				return true
			}
		}
	}
	return false
}

// owners are the documents that are stored and have an element of one that is to
// be inserted. clash is whether there are any, or whether two that are to be
// inserted have one in common. It is a question for all at once: a scan.
func owners(c conn, database, collection string, paths []string, documents bson.A) (stored ownership, clash bool, err error) {
	stored = make(ownership)
	among := make(ownership)
	for _, path := range paths {
		stored[path], among[path] = make(map[any]any), make(map[any]any)
		var all bson.A
		for _, d := range documents {
			elements, _ := written(d.(bson.D), path).(bson.A)
			all = append(all, elements...)
		}
		if len(all) == 0 {
			continue
		}
		found, err := c.find(database, collection, bson.D{{Key: path, Value: bson.D{{Key: "$in", Value: all}}}}, len(all))
		if err != nil {
			return nil, false, err
		}
		for _, d := range found {
			stored.add(d.(bson.D))
		}
		clash = clash || len(found) > 0
	}
	for _, d := range documents {
		clash = clash || among.someoneElse(d.(bson.D))
		among.add(d.(bson.D))
	}
	return stored, clash, nil
}

// each runs the writes of a command one by one, as far as breaks allows, and
// gathers the answers.
func each(c conn, command bson.D, list string, writes bson.A, breaks func(bson.D) (bool, error), done func(bson.D)) (bson.D, error) {
	var n, modified int
	var failures, upserted bson.A
	for i, write := range writes {
		broken, err := breaks(write.(bson.D))
		if err != nil {
			return nil, err
		}
		one := with(command, list, bson.A{write})
		answer := refusal(one)
		if !broken {
			if answer, err = c.run(one); err != nil {
				return nil, err
			}
			if better := duplicate(one, answer); better != nil {
				answer = better
			}
		}
		if number(get(answer, "ok")) != 1 {
			return answer, nil
		}
		if number(get(answer, "n")) > 0 {
			done(write.(bson.D))
		}
		n += number(get(answer, "n"))
		modified += number(get(answer, "nModified"))
		if list, ok := get(answer, "upserted").(bson.A); ok {
			for _, u := range list {
				upserted = append(upserted, with(u.(bson.D), "index", int32(i)))
			}
		}
		if list, ok := get(answer, "writeErrors").(bson.A); ok {
			for _, f := range list {
				failures = append(failures, with(f.(bson.D), "index", int32(i)))
			}
			if ordered, is := get(command, "ordered").(bool); !is || ordered {
				break
			}
		}
	}
	answer := bson.D{{Key: "n", Value: int32(n)}, {Key: "ok", Value: 1.0}}
	if list == "updates" {
		answer = with(answer, "nModified", int32(modified))
	}
	if len(upserted) > 0 {
		answer = with(answer, "upserted", upserted)
	}
	if len(failures) > 0 {
		answer = with(answer, "writeErrors", failures)
	}
	return answer, nil
}

// paths are the fields of the collection that have a unique index of their own.
func (p *proxy) paths(c conn, database, collection string) ([]string, error) {
	namespace := database + "." + collection
	if paths, known := p.unique[namespace]; known {
		return paths, nil
	}
	answer, err := c.run(bson.D{{Key: "listIndexes", Value: collection}, {Key: "$db", Value: database}})
	if err != nil {
		return nil, err
	}
	indexes, ok := get(answer, "cursor", "firstBatch").(bson.A)
	if !ok {
		return nil, nil // there is no such collection yet
	}
	paths := []string{}
	for _, x := range indexes {
		index := x.(bson.D)
		key, _ := get(index, "key").(bson.D)
		if unique, _ := get(index, "unique").(bool); unique && len(key) == 1 && key[0].Key != "_id" {
			paths = append(paths, key[0].Key)
		}
	}
	if p.unique == nil {
		p.unique = make(map[string][]string)
	}
	p.unique[namespace] = paths
	return paths, nil
}

// taken reports whether a document other than the one that is written has an
// element that this one gets. Without a query, update is a new document.
func taken(c conn, database, collection string, paths []string, query, update bson.D) (bool, error) {
	for _, path := range paths {
		elements, _ := written(update, path).(bson.A)
		if len(elements) == 0 {
			continue
		}
		id := get(update, "_id")
		if query != nil {
			target, err := first(c, database, collection, query)
			if err != nil {
				return false, err
			}
			if target == nil {
				continue // nothing will be written; our upserts write no arrays
			}
			id = get(target, "_id")
		}
		other, err := first(c, database, collection, bson.D{
			{Key: path, Value: bson.D{{Key: "$in", Value: elements}}},
			{Key: "_id", Value: bson.D{{Key: "$ne", Value: id}}},
		})
		if other != nil || err != nil {
			return other != nil, err
		}
	}
	return false, nil
}

// written is what an update or a replacement leaves at the path, if it is said.
func written(update bson.D, path string) any {
	if len(update) == 0 || !strings.HasPrefix(update[0].Key, "$") {
		return get(update, strings.Split(path, ".")...)
	}
	set, _ := get(update, "$set").(bson.D)
	for _, e := range set {
		if e.Key == path {
			return e.Value
		}
		if rest, ok := strings.CutPrefix(path, e.Key+"."); ok {
			inner, _ := e.Value.(bson.D)
			return get(inner, strings.Split(rest, ".")...)
		}
	}
	return nil
}

func first(c conn, database, collection string, filter bson.D) (bson.D, error) {
	found, err := c.find(database, collection, filter, 1)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0].(bson.D), nil
}

func (c conn) find(database, collection string, filter bson.D, limit int) (bson.A, error) {
	answer, err := c.run(bson.D{
		{Key: "find", Value: collection}, {Key: "filter", Value: filter},
		{Key: "limit", Value: int32(limit)}, {Key: "batchSize", Value: int32(limit)}, {Key: "singleBatch", Value: true}, {Key: "$db", Value: database},
	})
	if err != nil {
		return nil, err
	}
	found, ok := get(answer, "cursor", "firstBatch").(bson.A)
	if !ok {
		return nil, fmt.Errorf("find: %v", get(answer, "errmsg"))
	}
	return found, nil
}
