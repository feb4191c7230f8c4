package web

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
)

// decode reads the body of the request into a T, whose fields are strings named
// by their json tags; a field with a form tag alone is read from forms only.
// JSON and forms are equally strict: a wrong type, an unknown field, a duplicate,
// trailing data or text that is not UTF-8 is Invalid and names the field.
func decode[T any](r *http.Request) (T, error) {
	var in T
	kind, err := contentType(r)
	if err != nil {
		return in, err
	}
	body, err := readAll(r)
	if err != nil {
		return in, err
	}
	if kind == formType {
		return in, decodeForm(r, body, &in)
	}
	return in, decodeJSON(body, &in)
}

// decodeOptional is decode for an operation that may come without a body.
func decodeOptional[T any](r *http.Request) (T, error) {
	if r.ContentLength == 0 {
		var none T
		if isForm(r) {
			visitOf(r).form = true
		}
		return none, nil
	}
	return decode[T](r)
}

const (
	formMedia = "application/x-www-form-urlencoded"
	jsonMedia = "application/json"
)

type bodyKind int

const (
	jsonBody bodyKind = iota
	formType
)

func contentType(r *http.Request) (bodyKind, error) {
	if len(r.Header["Content-Type"]) != 1 || r.Header.Get("Content-Encoding") != "" {
		return 0, errMediaType
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return 0, errMediaType
	}
	if cs, ok := params["charset"]; ok && !strings.EqualFold(cs, "utf-8") {
		return 0, errMediaType
	}
	switch media {
	case jsonMedia:
		return jsonBody, nil
	case formMedia:
		return formType, nil
	}
	return 0, errMediaType
}

func isForm(r *http.Request) bool {
	kind, err := contentType(r)
	return err == nil && kind == formType
}

func readAll(r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBody {
		return nil, errTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if len(body) > maxBody {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, malformed("", "The body was cut off.")
	}
	return body, nil
}

func malformed(field, text string) error {
	return &gatehouse.Error{Kind: gatehouse.Invalid, Code: "malformed_request", Field: field, Text: text}
}

func decodeJSON(body []byte, in any) error {
	// The library's defaults refuse duplicate names, invalid UTF-8 and trailing
	// data, and do not fold the case of names.
	err := json.Unmarshal(body, in, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		field := fieldOf(e.JSONPointer)
		if errors.Is(err, json.ErrUnknownName) {
			return malformed(field, "There is no such field here.")
		}
		return malformed(field, "The field has the wrong type.")
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return malformed(fieldOf(e.JSONPointer), "The field is there twice.")
		}
		return malformed(fieldOf(e.JSONPointer), "The body is not valid JSON.")
	}
	return malformed("", "The body is not valid JSON.")
}

// fieldOf is the first part of a JSON pointer, if it may be shown: it is text of
// the request.
func fieldOf(p jsontext.Pointer) string {
	for token := range p.Tokens() {
		return shownField(token)
	}
	return ""
}

// shownField is a field's name as far as it looks like one.
func shownField(name string) string {
	if len(name) > 64 {
		return ""
	}
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '$' || c == '.') {
			return ""
		}
	}
	return name
}

func decodeForm(r *http.Request, body []byte, in any) error {
	v := visitOf(r)
	v.form = true
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return malformed("", "The form is not valid.")
	}
	target := reflect.ValueOf(in).Elem()
	fields := map[string]reflect.Value{}
	for i := range target.NumField() {
		tag := target.Type().Field(i).Tag
		name, _, _ := strings.Cut(tag.Get("json"), ",")
		if form := tag.Get("form"); form != "" {
			name = form
		}
		fields[name] = target.Field(i)
	}
	v.values = map[string]string{}
	for name, all := range values {
		field, ok := fields[name]
		switch {
		case !ok:
			return malformed(shownField(name), "There is no such field here.")
		case len(all) > 1:
			return malformed(name, "The field is there twice.")
		case !utf8.ValidString(all[0]):
			return malformed(name, "The field is not valid text.")
		}
		field.SetString(all[0])
		if !strings.Contains(name, "password") {
			v.values[name] = all[0]
		}
	}
	return nil
}
