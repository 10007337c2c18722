package manifest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/secrets"
)

// State is how an entry stands.
type State string

// The states.
const (
	OK        State = "ok"
	Missing   State = "missing"    // there is no value
	Denied    State = "denied"     // the server refuses the read
	WrongType State = "wrong type" // the value is not what the manifest says
	Malformed State = "malformed"  // what the environment gives is no reference
	Failed    State = "failed"     // the server could not give it
	Unasked   State = "not asked"  // it is to be had from a server, and none was asked
)

// Finding says how one entry stands. It holds no value.
type Finding struct {
	Name      string
	Line      int // of the manifest
	State     State
	Reference string // where the value comes from, without default; empty: no server
	Text      string // what is wrong; empty if nothing is
	Path      string // that the token may not read, below /v1; empty unless Denied
}

// Resolver finds values: [secrets.Resolver].
type Resolver interface {
	Resolve(ctx context.Context, templates map[string]secrets.Template) (*secrets.Resolved, error)
}

// Lookup returns what the environment gives a variable.
type Lookup func(name string) (text string, ok bool)

// Check says of each entry, in their order, whether its value is there and of its
// type. A nil Resolver asks no server: only the form of references is checked,
// and what needs none. What was read, and may have leases to be revoked, is told
// with the second result.
func (m *Manifest) Check(ctx context.Context, r Resolver, given Lookup) ([]Finding, []secrets.Read) {
	findings := make([]Finding, len(m.Entries))
	templates := map[string]secrets.Template{} // by name of the entry
	for i, e := range m.Entries {
		findings[i] = Finding{Name: e.Name, Line: e.Line, State: OK}
		t, ok, err := e.Template(lookUp(given, e))
		switch {
		case err != nil:
			findings[i].State, findings[i].Text = Malformed, err.Error()
		case ok:
			if len(t.References()) > 0 {
				findings[i].Reference = t.String()
			}
			if r == nil && len(t.References()) > 0 {
				findings[i].State = Unasked
				continue
			}
			templates[e.Name] = t
		case e.Required:
			findings[i].State, findings[i].Text = Missing, fmt.Sprintf("nothing sets %s, and the manifest has no reference for it", cmp.Or(e.Env, e.Name))
		}
	}
	if r == nil {
		r = secrets.NewResolver(nil) // what is left has no references
	}
	resolved, failures := resolve(ctx, r, templates)
	for i, e := range m.Entries {
		f := &findings[i]
		if failure, ok := failures[e.Name]; ok {
			f.fail(failure)
		} else if _, asked := templates[e.Name]; asked && f.State == OK {
			value, ok := resolved.Value(e.Name)
			f.judge(e, value, ok)
		}
	}
	if resolved == nil {
		return findings, nil
	}
	return findings, resolved.Reads()
}

func lookUp(given Lookup, e Entry) (string, bool) {
	if e.Env == "" || e.File != "" { // the variable then holds a path
		return "", false
	}
	return given(e.Env)
}

// resolve returns the values that could be found, and why others were not. There
// is no value of the ones that could be read as long as others are asked for
// with them, so it asks twice.
func resolve(ctx context.Context, r Resolver, templates map[string]secrets.Template) (*secrets.Resolved, map[string]error) {
	failures := map[string]error{}
	left := maps.Clone(templates)
	var last error
	for range 2 {
		resolved, err := r.Resolve(ctx, left)
		if err == nil {
			return resolved, failures
		}
		last = err
		var all *secrets.ResolveError
		if !errors.As(err, &all) {
			break
		}
		for _, f := range all.Failures {
			if failures[f.Name] == nil || client.StatusOf(f.Err) == http.StatusForbidden {
				failures[f.Name] = f.Err
			}
			delete(left, f.Name)
		}
	}
	for name := range left { // it was there at first, or nothing could be asked
		failures[name] = last
	}
	return nil, failures
}

func (f *Finding) fail(err error) {
	f.State, f.Text = Failed, err.Error()
	var refusal *client.Error
	switch {
	case errors.Is(err, secrets.ErrAbsent):
		f.State = Missing
	case errors.As(err, &refusal) && refusal.Status == http.StatusForbidden:
		f.State, f.Path = Denied, refusal.Path
		f.Text = "the token may not read " + refusal.Path
	}
}

// judge checks a value that is there, or may be absent.
func (f *Finding) judge(e Entry, value string, ok bool) {
	switch {
	case e.Required && (!ok || value == ""):
		f.State, f.Text = Missing, "the value is empty, and the manifest says that it is required"
	case !ok || value == "":
	case e.File == "" && strings.ContainsRune(value, 0):
		f.State, f.Text = WrongType, "it holds a zero byte, which no environment can: say file instead of env"
	default:
		if err := e.Type.Check(value); err != nil {
			f.State, f.Text = WrongType, err.Error()
		}
	}
}

// Policy returns the lines of a policy that would grant what findings were
// denied, or nothing. Where the token may not even see which engine is mounted,
// the lines are for the key-value engine, version 2, and say so. Known says whether
// the token may see it.
func Policy(findings []Finding, known func(path string) bool) string {
	var paths []string
	for _, f := range findings {
		if f.State == Denied && !slices.Contains(paths, f.Path) {
			paths = append(paths, f.Path)
		}
	}
	slices.Sort(paths)
	var b strings.Builder
	for _, path := range paths {
		if !known(path) {
			path = asVersioned(path)
			b.WriteString("# The token may not see what is mounted there. This is for a key-value engine of version 2;\n" +
				"# for any other, leave out data/.\n")
		}
		fmt.Fprintf(&b, "path %q {\n  capabilities = [\"read\"]\n}\n", path)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// asVersioned puts data/ behind the first segment, which usually is the mount.
func asVersioned(path string) string {
	mount, rest, ok := strings.Cut(path, "/")
	if !ok || strings.HasPrefix(rest, "data/") {
		return path
	}
	return mount + "/data/" + rest
}
