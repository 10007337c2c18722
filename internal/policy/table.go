package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/stanza"
)

// Table is a list of checks: what policies must allow and what they must not.
type Table struct {
	Policies []string // files of policies, as written: paths and globs
	Rows     []Row
}

// Row is one check of a [Table].
type Row struct {
	Number     int // from 1, in the order of the table
	As         []string
	Do         []logical.Op
	Path       string
	Allow      bool
	Parameters json.RawMessage // an object; nil: none
	WrapTTL    time.Duration
	Sudo       bool // the path needs sudo
	Who        *Identity
	Because    string
}

// tableText is a table as JSON.
type tableText struct {
	Policies texts     `json:"policies"`
	Checks   []rowText `json:"check"`
}

type rowText struct {
	As         texts           `json:"as"`
	Do         texts           `json:"do"`
	Path       string          `json:"path"`
	Allow      *bool           `json:"allow"`
	Parameters json.RawMessage `json:"parameters"`
	WrapTTL    string          `json:"wrap_ttl"`
	Sudo       bool            `json:"sudo"`
	Entity     *struct {
		ID       string            `json:"id"`
		Name     string            `json:"name"`
		Metadata map[string]string `json:"metadata"`
	} `json:"entity"`
	Because string `json:"because"`
}

// texts is a list of texts, or one.
type texts []string

var _ json.Unmarshaler = (*texts)(nil)

// UnmarshalJSON implements [json.Unmarshaler].
func (t *texts) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var one string
		err := json.Unmarshal(b, &one)
		*t = texts{one}
		return err
	}
	return json.Unmarshal(b, (*[]string)(t))
}

// ParseTable reads a table that is JSON, as other syntaxes are easily made.
func ParseTable(text []byte) (*Table, error) {
	var in tableText
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, fmt.Errorf("no table of checks: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("no table of checks: something follows its end")
	}
	if len(in.Checks) == 0 {
		return nil, fmt.Errorf("the table has no check")
	}
	t := &Table{Policies: in.Policies}
	for i := range in.Checks {
		row, err := in.Checks[i].row()
		if err != nil {
			return nil, fmt.Errorf("check %d: %w", i+1, err)
		}
		row.Number = i + 1
		t.Rows = append(t.Rows, row)
	}
	return t, nil
}

// ParseTableHCL reads a table that is HCL, with a block "check" for each row.
func ParseTableHCL(text []byte) (*Table, error) {
	root, err := stanza.ParseHCL(text)
	if err != nil {
		return nil, err
	}
	object := map[string]any{}
	checks := []any{}
	for i := range root.Entries {
		e := &root.Entries[i]
		_, twice := object[e.Key]
		switch {
		case twice:
			return nil, errorAt(e.Line, "%q was already set", e.Key)
		case e.Key != "check":
			object[e.Key] = plain(&e.Value)
			continue
		}
		for _, block := range elements(&e.Value) {
			if block.Shape != stanza.Object {
				return nil, errorAt(e.Line, "\"check\": expected a block")
			}
			checks = append(checks, plain(&block))
		}
	}
	object["check"] = checks
	b, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("no table of checks: %w", err)
	}
	return ParseTable(b)
}

func (in *rowText) row() (Row, error) {
	r := Row{As: in.As, Path: in.Path, Sudo: in.Sudo, Because: in.Because}
	switch {
	case len(in.As) == 0:
		return r, fmt.Errorf("\"as\" is missing: the policies of who asks")
	case len(in.Do) == 0:
		return r, fmt.Errorf("\"do\" is missing: what is asked for")
	case strings.Trim(in.Path, "/") == "":
		return r, fmt.Errorf("\"path\" is missing")
	case in.Allow == nil:
		return r, fmt.Errorf("\"allow\" is missing: true or false")
	}
	r.Allow = *in.Allow
	for _, word := range in.Do {
		op, err := ParseOp(word)
		if err != nil {
			return r, err
		}
		r.Do = append(r.Do, op)
	}
	if p := bytes.TrimSpace(in.Parameters); len(p) > 0 && !bytes.Equal(p, []byte("null")) {
		if p[0] != '{' {
			return r, fmt.Errorf("\"parameters\" is no object")
		}
		r.Parameters = json.RawMessage(p)
	}
	if in.WrapTTL != "" {
		d, err := logical.ParseDuration(in.WrapTTL)
		if err != nil || d <= 0 {
			return r, fmt.Errorf("\"wrap_ttl\" is no duration")
		}
		r.WrapTTL = d
	}
	if e := in.Entity; e != nil {
		r.Who = &Identity{ID: e.ID, Name: e.Name, Metadata: e.Metadata}
	}
	return r, nil
}

// operations are what is asked for, by word. A "write" is
// decided as an update, which it is unless what it writes is new.
var operations = map[string]logical.Op{
	"read": logical.Read, "list": logical.List, "create": logical.Create, "update": logical.Update,
	"patch": logical.Patch, "delete": logical.Delete, "write": logical.Write,
}

// ParseOp reads what is asked for: the word of a capability, or "write".
func ParseOp(word string) (logical.Op, error) {
	op, ok := operations[word]
	if !ok {
		return 0, fmt.Errorf("%q is nothing that is asked for: want one of %s", word, quoted(OpWords()))
	}
	return op, nil
}

// OpWords returns the words that [ParseOp] takes, sorted.
func OpWords() []string { return slices.Sorted(maps.Keys(operations)) }

// Check asks the policies all that the row asks for. Each explanation is of one
// thing to do; it fails the row if it is allowed and should not be, or not and
// should.
func (r *Row) Check(policies []*Policy) ([]*Explanation, error) {
	e, err := NewExplainer(policies, r.Who)
	if err != nil {
		return nil, err
	}
	var all []*Explanation
	for _, op := range r.Do {
		all = append(all, e.Explain(Query{Op: op, Path: r.Path, Body: r.Parameters, WrapTTL: r.WrapTTL, Sudo: r.Sudo}, ""))
	}
	return all, nil
}

// Coverage tells which stanzas have decided something. Its zero value has seen
// nothing.
type Coverage struct {
	seen map[Source]bool
}

// Add counts the stanzas of the rule that decided.
func (c *Coverage) Add(x *Explanation) {
	if x.Decided == nil {
		return
	}
	if c.seen == nil {
		c.seen = map[Source]bool{}
	}
	for _, s := range x.Decided.Stanzas {
		c.seen[s] = true
	}
}

// Untouched returns the stanzas of a policy that have decided nothing.
func (c *Coverage) Untouched(p *Policy) []Source {
	return slices.DeleteFunc(p.Sources(), func(s Source) bool { return c.seen[s] })
}
