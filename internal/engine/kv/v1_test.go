package kv

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/logical"
)

func TestVersion1(t *testing.T) {
	const trailing = "cannot write to a path ending in '/'"
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"what is written is read, and replaced as a whole", []step{
			{op: logical.Write, path: "a", body: `{"x":1,"y":"z"}`},
			{op: logical.Read, path: "a", want: `{"x":1,"y":"z"}`},
			{op: logical.Write, path: "a", body: `{"path":{"any":"name"},"data":[null]}`},
			{op: logical.Read, path: "a", want: `{"path":{"any":"name"},"data":[null]}`},
		}},
		{"numbers of any size survive", []step{
			{op: logical.Write, path: "a", body: `{"n":12345678901234567890123,"e":1.50e3}`},
			{op: logical.Read, path: "a", want: `{"n":12345678901234567890123,"e":1.50e3}`},
		}},
		{"a path that is not there is not found", []step{
			{op: logical.Read, path: "a", err: logical.ErrNotFound},
			{op: logical.Delete, path: "a"},
		}},
		{"a deleted secret is gone", []step{
			{op: logical.Write, path: "a", body: `{"x":1}`},
			{op: logical.Delete, path: "a"},
			{op: logical.Read, path: "a", err: logical.ErrNotFound},
		}},
		{"a write needs data", []step{
			{op: logical.Write, path: "a", err: logical.ErrInvalid, text: "missing data fields"},
			{op: logical.Write, path: "a", body: `{}`, err: logical.ErrInvalid, text: "missing data fields"},
			{op: logical.Write, path: "a", body: `[1]`, err: logical.ErrInvalid},
			{op: logical.Read, path: "a", err: logical.ErrNotFound},
		}},
		{"a folder is no secret", []step{
			{op: logical.Write, path: "a/", body: `{"x":1}`, err: logical.ErrInvalid, text: trailing},
			{op: logical.Read, path: "a/", err: logical.ErrNotFound},
			{op: logical.Delete, path: "a/", err: logical.ErrInvalid},
		}},
		{"the mount itself is no secret", []step{
			{op: logical.Read, path: "", err: logical.ErrUnsupportedPath},
			{op: logical.Write, path: "", body: `{"x":1}`, err: logical.ErrUnsupportedPath},
			{op: logical.Delete, path: "", err: logical.ErrUnsupportedPath},
		}},
		{"lists show secrets and folders", []step{
			{op: logical.List, path: "", err: logical.ErrNotFound},
			{op: logical.Write, path: "b c/ä", body: `{"x":1}`},
			{op: logical.Write, path: "b c", body: `{"x":1}`},
			{op: logical.Write, path: "a/b/c", body: `{"x":1}`},
			{op: logical.List, path: "", want: `{"keys":["a/","b c","b c/"]}`},
			{op: logical.List, path: "b c", want: `{"keys":["ä"]}`},
			{op: logical.List, path: "a/", want: `{"keys":["b/"]}`},
			{op: logical.List, path: "a/b/c", err: logical.ErrNotFound},
			{op: logical.Delete, path: "a/b/c"},
			{op: logical.List, path: "a", err: logical.ErrNotFound},
		}},
		{"there is no patch", []step{
			{op: logical.Patch, path: "a", body: `{"x":1}`, err: logical.ErrUnsupportedOp},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, "1")
			s.T = t
			s.script(c.steps)
		})
	}
}

func TestASecretAdvisesHowOftenToReadItAgain(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       time.Duration
	}{
		{"by default as the mount says", `{"x":"ttl"}`, time.Hour},
		{"by its field ttl", `{"ttl":"90m"}`, 90 * time.Minute},
		{"in seconds", `{"ttl":30}`, 30 * time.Second},
		{"by its field lease", `{"lease":"1d"}`, 24 * time.Hour},
		{"not by a field that means something else", `{"ttl":"soon"}`, time.Hour},
		{"not by a field below", `{"x":{"ttl":1}}`, time.Hour},
		{"not by zero", `{"ttl":0}`, time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, "")
			s.ok(logical.Write, "a", c.body)
			resp, err := s.do(logical.Read, "a", "")
			if err != nil || resp.TTL != c.want || resp.Lease != nil || resp.LeaseID != "" {
				t.Errorf("got %+v, error %v, want %v", resp, err, c.want)
			}
		})
	}
}

func TestVersion1TellsWhatHappened(t *testing.T) {
	s := serve(t, "1")
	s.ok(logical.Write, "a/b", `{"x":1}`)
	want := []logical.Event{{
		Type: "kv-v1/write", Path: "a/b", Secret: []byte(`{"x":1}`),
		Metadata: map[string]string{"path": "secret/a/b", "data_path": "secret/a/b", "operation": "write", "modified": "true"},
	}}
	if diff := cmp.Diff(want, s.events); diff != "" {
		t.Error(diff)
	}
	s.ok(logical.Delete, "a/b", "")
	want = []logical.Event{{
		Type: "kv-v1/delete", Path: "a/b",
		Metadata: map[string]string{"path": "secret/a/b", "operation": "delete", "modified": "true"},
	}}
	if diff := cmp.Diff(want, s.events); diff != "" {
		t.Error(diff)
	}
	if s.ok(logical.Delete, "a/b", ""); len(s.events) > 0 {
		t.Errorf("nothing was deleted, but %v", s.events)
	}
}

func TestVersion1RefusesWhatItCouldNotReadAgain(t *testing.T) {
	s := serve(t, "1")
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	if _, err := s.do(logical.Write, "a", deep(10_000)); err == nil {
		t.Error("too deep, and accepted")
	}
	s.ok(logical.Write, "a", deep(9_999))
	s.ok(logical.Read, "a", "")
}

func TestVersion1LosesNoVersions(t *testing.T) {
	s := serve(t, "2")
	s.ok(logical.Write, "data/a", `{"data":{"x":1}}`)
	s.mount("1")
	s.script([]step{
		{op: logical.Read, path: "a", err: logical.ErrInvalid},
		{op: logical.Write, path: "a", body: `{"x":2}`, err: logical.ErrInvalid},
		{op: logical.Delete, path: "a", err: logical.ErrInvalid},
	})
	s.mount("2")
	s.script([]step{{op: logical.Read, path: "data/a", want: `{"data":{"x":1},"metadata":` + info(start, 1) + `}`}})
}

func TestSecretsOfVersion1AreVersionsOfVersion2(t *testing.T) {
	later := start.Add(time.Minute)
	old := `{"data":{"x":1},"metadata":` + info(start, 1) + `}`
	for _, c := range []struct {
		name  string
		steps []step
		rows  int // of versions at the end
	}{
		{"reading changes nothing", []step{
			{op: logical.Read, path: "data/a", want: old},
			{op: logical.Read, path: "data/a?version=1", want: old},
			{op: logical.Read, path: "data/a?version=2", err: logical.ErrNotFound},
			{op: logical.Read, path: "subkeys/a", want: `{"metadata":` + info(start, 1) + `,"subkeys":{"x":null}}`},
			{op: logical.List, path: "metadata", want: `{"keys":["a"]}`},
			{op: logical.Read, path: "metadata/a", want: metadata(start, start, 1, 0, "null", `"1":`+times(start))},
		}, 0},
		{"a new version comes after it", []step{
			{op: logical.Write, path: "data/a", body: `{"data":{"x":2},"options":{"cas":1}}`, want: info(later, 2)},
			{op: logical.Read, path: "data/a?version=1", want: old},
			{op: logical.Read, path: "metadata/a", want: metadata(start, later, 2, 0, "null", `"1":`+times(start)+`,"2":`+times(later))},
		}, 2},
		{"it can be patched", []step{
			{op: logical.Patch, path: "data/a", body: `{"data":{"y":2}}`, want: info(later, 2)},
			{op: logical.Read, path: "data/a", want: `{"data":{"x":1,"y":2},"metadata":` + info(later, 2) + `}`},
		}, 2},
		{"it can be deleted and undeleted", []step{
			{op: logical.Delete, path: "data/a"},
			{op: logical.Write, path: "undelete/a", body: `{"versions":[1]}`},
			{op: logical.Read, path: "data/a", want: old},
		}, 1},
		{"it can be destroyed", []step{
			{op: logical.Write, path: "destroy/a", body: `{"versions":[1]}`},
			{op: logical.Read, path: "data/a", lost: true,
				want: `{"data":null,"metadata":` + strings.Replace(info(start, 1), `"destroyed":false`, `"destroyed":true`, 1) + `}`},
		}, 0},
		{"it can be dropped", []step{
			{op: logical.Write, path: "config", body: `{"max_versions":1}`},
			{op: logical.Write, path: "data/a", body: `{"data":{"x":2}}`, want: info(later, 2)},
			{op: logical.Read, path: "data/a?version=1", err: logical.ErrNotFound},
		}, 1},
		{"it can be deleted for ever", []step{
			{op: logical.Delete, path: "metadata/a"},
			{op: logical.Read, path: "data/a", err: logical.ErrNotFound},
			{op: logical.List, path: "metadata", err: logical.ErrNotFound},
		}, 0},
		{"its metadata can be written", []step{
			{op: logical.Write, path: "metadata/a", body: `{"cas_required":true}`},
			{op: logical.Read, path: "data/a", want: old},
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, "1")
			s.T = t
			s.ok(logical.Write, "a", `{"x":1}`)
			s.mount("2")
			s.Now = later
			s.script(c.steps)
			if n := s.rows("version"); n != c.rows {
				t.Errorf("%d rows of versions, want %d", n, c.rows)
			}
		})
	}
}
