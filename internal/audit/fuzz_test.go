package audit

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// Whatever a caller sends, its entry is one line of JSON in which the token and
// the texts of the data stand as hashes only.
func FuzzEntry(f *testing.F) {
	f.Add("secret/data/a", "user-agent", "curl", "meta\n", `{"a":"b"}`, uint8(logical.Read))
	f.Add("\x00\xff\"\\", "\"", "\u2028", "", `[{"":"\ud800"},1e400]`, uint8(logical.List))
	const canary = "CANARY-e1b7"
	f.Fuzz(func(t *testing.T, path, header, value, meta, doc string, op uint8) {
		l := newTestLine(options{prefix: "@cee: ", hashAccessor: true, elideLists: op%2 == 0})
		l.buf = l.buf[:0]
		if !json.Valid([]byte(doc)) {
			doc = `null`
		}
		doc = `{"secret":"` + canary + `","more":` + doc + `}`
		who := &Auth{
			ClientToken: canary, Accessor: canary, DisplayName: path, Policies: []string{meta}, TokenPolicies: []string{value},
			Results: &PolicyResults{Granting: []string{meta, path}}, Metadata: map[string]string{meta: value}, TokenTTL: time.Hour,
		}
		e := &Entry{
			Auth: who, Error: meta,
			Request: Request{
				ID: path, Op: logical.Op(op % uint8(logical.Delete)), ClientToken: canary, Path: path, Data: json.RawMessage(doc),
				Remote: netip.MustParseAddrPort("[fe80::1%25]:80"), Headers: []Header{{Name: header, Values: []string{canary, value}, Hash: true}},
				Mount: Mount{Point: path, Type: value},
			},
			Response: &Response{
				Auth: who, Data: json.RawMessage(doc), LeaseID: path, Warnings: []string{value}, Redirect: meta,
				Wrap: &Wrap{Token: canary, Accessor: canary, WrappedAccessor: canary, CreationPath: path},
			},
		}
		if err := l.entry(e, typeResponse); err != nil {
			t.Fatal(err)
		}
		text, ok := bytes.CutPrefix(l.buf, []byte("@cee: "))
		if !ok || bytes.IndexByte(text, '\n') != len(text)-1 || !json.Valid(text) {
			t.Fatalf("no line of JSON: %q", l.buf)
		}
		if strings.Contains(path+header+value+meta+doc[len(canary)+12:], canary) {
			return // the caller says it openly
		}
		if bytes.Contains(text, []byte(canary)) {
			t.Errorf("a secret is on record: %q", text)
		}
	})
}
