package template

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/cofferhq/coffer/api"
)

// Operation is what a [Query] does to its path.
type Operation string

// The operations.
const (
	Read  Operation = "read"
	Write Operation = "write"
	List  Operation = "list"
)

// Query is one question of a template to the server. Equal questions, of whatever
// templates, are asked once.
type Query struct {
	Operation Operation
	Namespace string // empty: the client's
	Path      string // as the template has it, without slashes at its ends
	Params    string // the query of the URL: "version=2"

	body  func() []byte // of a write, in JSON; nil: none
	mount string        // of KV version 2, with its slash; empty: another, or not looked for
}

// key is what tells queries apart.
type key struct {
	op                      Operation
	namespace, path, params string
	body                    [sha256.Size]byte
}

func (q Query) key() key {
	k := key{op: q.Operation, namespace: q.Namespace, path: q.Path, params: q.Params}
	if q.body != nil {
		k.body = sha256.Sum256(q.body())
	}
	return k
}

// String returns what is asked, without what is written.
func (q Query) String() string {
	text := string(q.Operation) + " " + q.Path
	if q.Params != "" {
		text += "?" + q.Params
	}
	if q.Namespace != "" {
		text += " in namespace " + q.Namespace
	}
	return text
}

// Format prints String under every verb.
func (q Query) Format(f fmt.State, _ rune) { fmt.Fprint(f, q.String()) }

// newQuery makes a query of the arguments of secret: with fields it writes.
func newQuery(op Operation, path string, fields []string) (Query, error) {
	path, params, _ := strings.Cut(path, "?")
	q := Query{Operation: op, Path: strings.Trim(path, "/"), Params: params}
	if q.Path == "" {
		return q, errors.New("the path is empty")
	}
	if len(fields) == 0 {
		return q, nil
	}
	body := map[string]any{}
	for _, field := range fields {
		name, value, ok := strings.Cut(field, "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return q, fmt.Errorf("%s: what is written must be of the form NAME=VALUE", q.Path)
		}
		body[name] = value
	}
	text, err := json.Marshal(body)
	if err != nil {
		return q, fmt.Errorf("%s: what is written cannot be encoded", q.Path) // the cause could quote it
	}
	q.Operation, q.body = Write, func() []byte { return text }
	return q, nil
}

// Answer is what a query gave: a secret, or an error.
type Answer struct {
	secret  *api.Secret // nil: there is none
	query   Query       // as it was asked
	version int         // of KV version 2; else zero
	err     error
}
