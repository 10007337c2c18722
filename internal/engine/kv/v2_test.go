package kv

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/logical"
)

func text(at time.Time) string { return at.Format(time.RFC3339Nano) }

// info is the metadata of a version that is neither deleted nor destroyed.
func info(created time.Time, n int) string { return infoWith(created, "", false, n) }

func infoWith(created time.Time, deletion string, destroyed bool, n int) string {
	return fmt.Sprintf(`{"created_time":%q,"custom_metadata":null,"deletion_time":%q,"destroyed":%t,"version":%d}`,
		text(created), deletion, destroyed, n)
}

func times(created time.Time) string {
	return fmt.Sprintf(`{"created_time":%q,"deletion_time":"","destroyed":false}`, text(created))
}

func metadata(created, updated time.Time, current, oldest int, custom, versions string) string {
	return fmt.Sprintf(`{"cas_required":false,"delete_version_after":"0s","max_versions":0,"created_time":%q,"current_version":%d,`+
		`"custom_metadata":%s,"oldest_version":%d,"updated_time":%q,"versions":{%s}}`,
		text(created), current, custom, oldest, text(updated), versions)
}

func TestVersion2(t *testing.T) {
	const (
		required  = "check-and-set parameter required for this call"
		mismatch  = "check-and-set parameter did not match the current version"
		noVersion = "No version number provided"
		trailing  = "cannot write to a path ending in '/'"
	)
	put := func(path, data string, n int) step {
		return step{op: logical.Write, path: "data/" + path, body: `{"data":` + data + `}`, want: info(start, n)}
	}
	deleted := func(n int) string { return infoWith(start, text(start), false, n) }
	read := func(data, meta string) string { return `{"data":` + data + `,"metadata":` + meta + `}` }
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"every version can be read", []step{
			put("a", `{"x":1}`, 1), put("a", `{"x":2}`, 2),
			{op: logical.Read, path: "data/a", want: read(`{"x":2}`, info(start, 2))},
			{op: logical.Read, path: "data/a?version=0", want: read(`{"x":2}`, info(start, 2))},
			{op: logical.Read, path: "data/a?version=1", want: read(`{"x":1}`, info(start, 1))},
			{op: logical.Read, path: "data/a?version=3", err: logical.ErrNotFound},
			{op: logical.Read, path: "data/a?version=-1", err: logical.ErrNotFound},
			{op: logical.Read, path: "data/a?version=x", err: logical.ErrInvalid},
			{op: logical.Read, path: "data/b", err: logical.ErrNotFound},
		}},
		{"numbers of any size survive writes and patches", []step{
			put("a", `{"n":12345678901234567890123,"e":1.50e3}`, 1),
			{op: logical.Read, path: "data/a", want: read(`{"n":12345678901234567890123,"e":1.50e3}`, info(start, 1))},
			{op: logical.Patch, path: "data/a", body: `{"data":{"m":98765432109876543210}}`, want: info(start, 2)},
			{op: logical.Read, path: "data/a", want: read(`{"e":1.50e3,"m":98765432109876543210,"n":12345678901234567890123}`, info(start, 2))},
		}},
		{"a write needs data", []step{
			{op: logical.Write, path: "data/a", err: logical.ErrInvalid, text: "no data provided"},
			{op: logical.Write, path: "data/a", body: `{"x":1}`, err: logical.ErrInvalid, text: "no data provided"},
			{op: logical.Write, path: "data/a", body: `{"data":null}`, err: logical.ErrInvalid, text: "no data provided"},
			{op: logical.Write, path: "data/a", body: `{"data":"x"}`, err: logical.ErrInvalid},
			{op: logical.Patch, path: "data/a", body: `{"options":{}}`, err: logical.ErrInvalid, text: "no data provided"},
			put("a", `{}`, 1),
			{op: logical.Read, path: "data/a", want: read(`{}`, info(start, 1))},
		}},
		{"check-and-set guards writes", []step{
			{op: logical.Write, path: "data/a", body: `{"data":{},"options":{"cas":1}}`, err: logical.ErrInvalid, text: mismatch},
			{op: logical.Write, path: "data/a", body: `{"data":{},"options":{"cas":0}}`, want: info(start, 1)},
			{op: logical.Write, path: "data/a", body: `{"data":{},"options":{"cas":0}}`, err: logical.ErrInvalid, text: mismatch},
			{op: logical.Write, path: "data/a", body: `{"data":{},"options":{"cas":"1"}}`, want: info(start, 2)},
			{op: logical.Write, path: "data/a", body: `{"data":{},"options":{"cas":null}}`, want: info(start, 3)},
			{op: logical.Write, path: "data/a", body: `{"data":{},"options":{"cas":"x"}}`, err: logical.ErrInvalid},
			{op: logical.Patch, path: "data/a", body: `{"data":{},"options":{"cas":2}}`, err: logical.ErrInvalid, text: mismatch},
			{op: logical.Patch, path: "data/a", body: `{"data":{},"options":{"cas":3}}`, want: info(start, 4)},
		}},
		{"a secret can require check-and-set", []step{
			{op: logical.Write, path: "metadata/a", body: `{"cas_required":true}`},
			{op: logical.Write, path: "data/a", body: `{"data":{}}`, err: logical.ErrInvalid, text: required},
			{op: logical.Write, path: "data/a", body: `{"data":{},"options":{"cas":0}}`, want: info(start, 1)},
			{op: logical.Patch, path: "data/a", body: `{"data":{},"options":{}}`, err: logical.ErrInvalid, text: required},
			put("b", `{}`, 1),
		}},
		{"the mount can require check-and-set", []step{
			{op: logical.Write, path: "config", body: `{"cas_required":"true"}`},
			{op: logical.Write, path: "data/a", body: `{"data":{}}`, err: logical.ErrInvalid, text: required},
			{op: logical.Write, path: "metadata/a", body: `{"cas_required":false}`},
			{op: logical.Write, path: "data/a", body: `{"data":{}}`, err: logical.ErrInvalid, text: required},
		}},
		{"a patch changes the newest version", []step{
			{op: logical.Patch, path: "data/a", body: `{"data":{"x":1}}`, err: logical.ErrNotFound},
			put("a", `{"x":1,"y":{"z":[1,2],"w":"v"}}`, 1),
			{op: logical.Patch, path: "data/a", body: `{"data":{"x":null,"y":{"z":[3]}}}`, want: info(start, 2)},
			{op: logical.Read, path: "data/a", want: read(`{"y":{"w":"v","z":[3]}}`, info(start, 2))},
			{op: logical.Read, path: "data/a?version=1", want: read(`{"x":1,"y":{"z":[1,2],"w":"v"}}`, info(start, 1))},
		}},
		{"what is deleted cannot be patched", []step{
			{op: logical.Write, path: "metadata/a"},
			{op: logical.Patch, path: "data/a", body: `{"data":{"x":1}}`, err: logical.ErrNotFound},
			put("a", `{"x":1}`, 1),
			{op: logical.Delete, path: "data/a"},
			{op: logical.Patch, path: "data/a", body: `{"data":{"x":1}}`, err: logical.ErrNotFound},
			{op: logical.Write, path: "destroy/a", body: `{"versions":1}`},
			{op: logical.Patch, path: "data/a", body: `{"data":{"x":1}}`, err: logical.ErrNotFound},
		}},
		{"a delete hides the newest version, an undelete shows it", []step{
			put("a", `{"x":1}`, 1), put("a", `{"x":2}`, 2),
			{op: logical.Delete, path: "data/a"},
			{op: logical.Read, path: "data/a", lost: true, want: read("null", deleted(2))},
			{op: logical.Read, path: "subkeys/a", lost: true, want: `{"metadata":` + deleted(2) + `,"subkeys":null}`},
			{op: logical.Read, path: "data/a?version=1", want: read(`{"x":1}`, info(start, 1))},
			{op: logical.Write, path: "undelete/a", body: `{"versions":["2",7]}`},
			{op: logical.Read, path: "data/a", want: read(`{"x":2}`, info(start, 2))},
		}},
		{"a deleted secret takes new versions", []step{
			put("a", `{"x":1}`, 1),
			{op: logical.Delete, path: "data/a"},
			put("a", `{"x":2}`, 2),
			{op: logical.Read, path: "data/a", want: read(`{"x":2}`, info(start, 2))},
		}},
		{"versions can be deleted one by one", []step{
			put("a", `{"x":1}`, 1), put("a", `{"x":2}`, 2), put("a", `{"x":3}`, 3),
			{op: logical.Write, path: "delete/a", body: `{"versions":"1,2"}`},
			{op: logical.Read, path: "data/a?version=1", lost: true, want: read("null", deleted(1))},
			{op: logical.Read, path: "data/a?version=2", lost: true, want: read("null", deleted(2))},
			{op: logical.Read, path: "data/a", want: read(`{"x":3}`, info(start, 3))},
		}},
		{"a destroyed version cannot be brought back", []step{
			put("a", `{"x":1}`, 1),
			{op: logical.Write, path: "destroy/a", body: `{"versions":[1]}`},
			{op: logical.Read, path: "data/a", lost: true, want: read("null", infoWith(start, "", true, 1))},
			{op: logical.Write, path: "undelete/a", body: `{"versions":[1]}`},
			{op: logical.Read, path: "data/a", lost: true, want: read("null", infoWith(start, "", true, 1))},
		}},
		{"version numbers are needed", []step{
			{op: logical.Write, path: "delete/a", err: logical.ErrInvalid, text: noVersion},
			{op: logical.Write, path: "undelete/a", body: `{"versions":[]}`, err: logical.ErrInvalid, text: noVersion},
			{op: logical.Write, path: "destroy/a", body: `{"versions":""}`, err: logical.ErrInvalid, text: noVersion},
			{op: logical.Write, path: "destroy/a", body: `{"versions":["x"]}`, err: logical.ErrInvalid},
		}},
		{"what is not there is deleted without an error", []step{
			{op: logical.Delete, path: "data/a"},
			{op: logical.Delete, path: "metadata/a"},
			{op: logical.Write, path: "delete/a", body: `{"versions":[1]}`},
			{op: logical.Write, path: "undelete/a", body: `{"versions":[1]}`},
			{op: logical.Write, path: "destroy/a", body: `{"versions":[1]}`},
			{op: logical.Read, path: "metadata/a", err: logical.ErrNotFound},
		}},
		{"deleting the metadata deletes everything", []step{
			put("a", `{"x":1}`, 1), put("a", `{"x":2}`, 2),
			{op: logical.Delete, path: "metadata/a"},
			{op: logical.Read, path: "data/a", err: logical.ErrNotFound},
			{op: logical.Read, path: "metadata/a", err: logical.ErrNotFound},
			{op: logical.List, path: "metadata/", err: logical.ErrNotFound},
			put("a", `{"x":3}`, 1),
			{op: logical.Read, path: "data/a?version=2", err: logical.ErrNotFound},
		}},
		{"subkeys have no values", []step{
			put("a", `{"foo":"abc","bar":{"baz":"def","deep":{"er":1}},"quux":{},"list":[{"a":1}]}`, 1),
			{op: logical.Read, path: "subkeys/a",
				want: `{"metadata":` + info(start, 1) + `,"subkeys":{"bar":{"baz":null,"deep":{"er":null}},"foo":null,"list":null,"quux":null}}`},
			{op: logical.Read, path: "subkeys/a?version=1&depth=2",
				want: `{"metadata":` + info(start, 1) + `,"subkeys":{"bar":{"baz":null,"deep":null},"foo":null,"list":null,"quux":null}}`},
			{op: logical.Read, path: "subkeys/a?depth=1",
				want: `{"metadata":` + info(start, 1) + `,"subkeys":{"bar":null,"foo":null,"list":null,"quux":null}}`},
			{op: logical.Read, path: "subkeys/a?depth=-1", err: logical.ErrInvalid},
			{op: logical.Read, path: "subkeys/a?version=2", err: logical.ErrNotFound},
			{op: logical.Read, path: "subkeys/b", err: logical.ErrNotFound},
		}},
		{"a folder is no secret", []step{
			{op: logical.Write, path: "data/a/", body: `{"data":{}}`, err: logical.ErrInvalid, text: trailing},
			{op: logical.Patch, path: "data/a/", body: `{"data":{}}`, err: logical.ErrInvalid, text: trailing},
			{op: logical.Write, path: "metadata/a/", err: logical.ErrInvalid, text: trailing},
			{op: logical.Write, path: "destroy/a/", body: `{"versions":[1]}`, err: logical.ErrInvalid, text: trailing},
			{op: logical.Read, path: "data/a/", err: logical.ErrNotFound},
			{op: logical.Read, path: "metadata/a/", err: logical.ErrNotFound},
			{op: logical.Delete, path: "data/a/", err: logical.ErrInvalid},
			{op: logical.Delete, path: "metadata/a/", err: logical.ErrInvalid},
		}},
		{"the tables themselves are no secrets", []step{
			{op: logical.Read, path: "data/", err: logical.ErrUnsupportedPath},
			{op: logical.Write, path: "data/", body: `{"data":{}}`, err: logical.ErrUnsupportedPath},
			{op: logical.Read, path: "data", err: logical.ErrUnsupportedPath},
			{op: logical.Read, path: "subkeys/", err: logical.ErrUnsupportedPath},
			{op: logical.Write, path: "delete/", body: `{"versions":[1]}`, err: logical.ErrUnsupportedPath},
			{op: logical.Read, path: "other/a", err: logical.ErrUnsupportedPath},
			{op: logical.List, path: "data/a", err: logical.ErrUnsupportedOp},
			{op: logical.Read, path: "destroy/a", err: logical.ErrUnsupportedOp},
		}},
		{"lists show secrets and folders", []step{
			put("b c/ä", `{}`, 1), put("b c", `{}`, 1), put("a/b/c", `{}`, 1),
			{op: logical.Write, path: "metadata/m"},
			{op: logical.List, path: "metadata", want: `{"keys":["a/","b c","b c/","m"]}`},
			{op: logical.List, path: "metadata/", want: `{"keys":["a/","b c","b c/","m"]}`},
			{op: logical.List, path: "metadata/b c/", want: `{"keys":["ä"]}`},
			{op: logical.List, path: "metadata/a/b/c/", err: logical.ErrNotFound},
		}},
		{"the mount has settings", []step{
			{op: logical.Read, path: "config", want: `{"cas_required":false,"delete_version_after":"0s","max_versions":0}`},
			{op: logical.Write, path: "config", body: `{"max_versions":5,"delete_version_after":"3h25m19s"}`},
			{op: logical.Write, path: "config", body: `{"cas_required":true}`},
			{op: logical.Read, path: "config", want: `{"cas_required":true,"delete_version_after":"3h25m19s","max_versions":5}`},
			{op: logical.Write, path: "config", body: `{"max_versions":-1}`, err: logical.ErrInvalid},
			{op: logical.Write, path: "config", body: `{"delete_version_after":"soon"}`, err: logical.ErrInvalid},
			{op: logical.Write, path: "config", body: `{"delete_version_after":"--1s"}`, err: logical.ErrInvalid},
			{op: logical.Write, path: "config", body: `{"delete_version_after":"100000d"}`, err: logical.ErrInvalid},
			{op: logical.Write, path: "config", body: `{"max_versions":"0","cas_required":false,"delete_version_after":-1}`},
			{op: logical.Read, path: "config", want: `{"cas_required":false,"delete_version_after":"-1s","max_versions":0}`},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, "2")
			s.T = t
			s.script(c.steps)
		})
	}
}

func TestPoliciesTellCreateFromUpdate(t *testing.T) {
	for _, c := range []struct{ name, version, path, write, body string }{
		{"version 1", "1", "a/b", "a/b", `{"x":1}`},
		{"data", "2", "data/a/b", "data/a/b", `{"data":{}}`},
		{"metadata", "2", "metadata/a/b", "metadata/a/b", ""},
		{"data of a secret that has metadata only", "2", "data/a/b", "metadata/a/b", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, c.version)
			if s.Exists(c.path) {
				t.Error("before: an update")
			}
			s.ok(logical.Write, c.write, c.body)
			if !s.Exists(c.path) {
				t.Error("after: a creation")
			}
			for _, other := range []string{c.path + "c", strings.TrimSuffix(c.path, "b"), strings.TrimSuffix(c.path, "/b")} {
				if s.Exists(other) {
					t.Errorf("%q: an update", other)
				}
			}
		})
	}
}

func TestVersion2TellsWhatHappened(t *testing.T) {
	s := serve(t, "2")
	for _, c := range []struct {
		op               logical.Op
		path, body       string
		event, dataPath  string
		current, written string
	}{
		{logical.Write, "config", `{"max_versions":1}`, "config-write", "config", "", ""},
		{logical.Write, "data/a", `{"data":{"x":1}}`, "data-write", "data/a", "1/0", `{"x":1}`},
		{logical.Patch, "data/a", `{"data":{"y":2}}`, "data-patch", "data/a", "2/2", `{"x":1,"y":2}`},
		{logical.Delete, "data/a", "", "data-delete", "", "2/2", ""},
		{logical.Delete, "data/a", "", "", "", "", ""},
		{logical.Write, "undelete/a", `{"versions":[2]}`, "undelete", "data/a", "2/2", ""},
		{logical.Write, "undelete/a", `{"versions":[2]}`, "", "", "", ""},
		{logical.Write, "delete/a", `{"versions":[2]}`, "delete", "", "2/2", ""},
		{logical.Write, "destroy/a", `{"versions":[2]}`, "destroy", "", "2/2", ""},
		{logical.Write, "destroy/a", `{"versions":[2]}`, "", "", "", ""},
		{logical.Write, "metadata/a", `{"max_versions":3}`, "metadata-write", "metadata/a", "2/2", ""},
		{logical.Patch, "metadata/a", `{"max_versions":4}`, "metadata-patch", "metadata/a", "2/2", ""},
		{logical.Delete, "metadata/a", "", "metadata-delete", "", "2/2", ""},
		{logical.Read, "config", "", "", "", "", ""},
	} {
		s.ok(c.op, c.path, c.body)
		var want []logical.Event
		if c.event != "" {
			attributes := map[string]string{"path": "secret/" + c.path, "operation": c.event, "modified": "true"}
			if c.dataPath != "" {
				attributes["data_path"] = "secret/" + c.dataPath
			}
			if current, oldest, ok := strings.Cut(c.current, "/"); ok {
				attributes["current_version"], attributes["oldest_version"] = current, oldest
			}
			want = []logical.Event{{Type: "kv-v2/" + c.event, Path: c.path, Metadata: attributes}}
			if c.written != "" {
				want[0].Secret = []byte(c.written)
			}
		}
		if diff := cmp.Diff(want, s.events); diff != "" {
			t.Errorf("%s %s: %s", c.op, c.path, diff)
		}
	}
}
