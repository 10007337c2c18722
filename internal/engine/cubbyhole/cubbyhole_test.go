package cubbyhole

import (
	"errors"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/logical/mounttest"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

// house is an engine over a store.
type house struct{ *mounttest.Mount }

func newHouse(t *testing.T) *house {
	t.Helper()
	e, err := Kind.New(logical.MountPoint{})
	if err != nil {
		t.Fatal(err)
	}
	return &house{mounttest.New(t, e, inmem.New())}
}

// call does one request of the token with that id and returns the answer's data.
func (h *house) call(op logical.Op, token, path, body string) (string, error) {
	h.T.Helper()
	h.Caller = &logical.Caller{TokenID: token}
	resp, err := h.Call(op, path, body)
	return mounttest.Data(h.T, resp), err
}

func (h *house) mustCall(op logical.Op, token, path, body string) string {
	h.T.Helper()
	data, err := h.call(op, token, path, body)
	if err != nil {
		h.T.Fatalf("%s %q: %v", op, path, err)
	}
	return data
}

func TestWhatATokenStoresItGetsBack(t *testing.T) {
	tests := []struct{ name, path, body string }{
		{"an object", "a", `{"k":"v"}`},
		{"deep below", "a/b/c", `{"k":"v"}`},
		{"a leaf that is a folder too", "a/b", `{"k":"w"}`},
		{"numbers beyond float64", "n", `{"big":12345678901234567890123,"small":0.10000000000000000001}`},
		{"nested values", "o", `{"list":[1,{"x":null}],"t":true}`},
		{"a field that is named as the path's", "f", `{"path":"elsewhere"}`},
	}
	h := newHouse(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h.mustCall(logical.Write, "me", test.path, test.body)
			if got := h.mustCall(logical.Read, "me", test.path, ""); got != test.body {
				t.Errorf("got %s, want %s", got, test.body)
			}
		})
	}
}

func TestAWriteReplacesTheWhole(t *testing.T) {
	h := newHouse(t)
	h.mustCall(logical.Write, "me", "a", `{"old":1}`)
	h.mustCall(logical.Write, "me", "a", `{"new":2}`)
	if got := h.mustCall(logical.Read, "me", "a", ""); got != `{"new":2}` {
		t.Errorf("got %s", got)
	}
}

func TestTokensDoNotSeeEachOther(t *testing.T) {
	h := newHouse(t)
	h.mustCall(logical.Write, "me", "a/b", `{"k":"mine"}`)
	h.mustCall(logical.Write, "me2", "c", `{"k":"other"}`)
	for _, other := range []string{"me2", "m", "me/a"} {
		if _, err := h.call(logical.Read, other, "a/b", ""); !errors.Is(err, logical.ErrNotFound) {
			t.Errorf("%s reads: %v", other, err)
		}
		h.mustCall(logical.Delete, other, "a/b", "")
	}
	if got := h.mustCall(logical.List, "me2", "", ""); got != `{"keys":["c"]}` {
		t.Errorf("listing %s", got)
	}
	if got := h.mustCall(logical.Read, "me", "a/b", ""); got != `{"k":"mine"}` {
		t.Errorf("after the others' deletions: %s", got)
	}
}

func TestListings(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{"b", "a", "d/x", "d/e/y", "d"} {
		h.mustCall(logical.Write, "me", path, `{"k":"v"}`)
	}
	tests := []struct{ name, path, want string }{
		{"of everything", "", `{"keys":["a","b","d","d/"]}`},
		{"of a folder", "d/", `{"keys":["e/","x"]}`},
		{"of a folder without its slash", "d", `{"keys":["e/","x"]}`},
		{"of a leaf", "a", ""},
		{"of nothing", "z", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := h.call(logical.List, "me", test.path, "")
			if test.want == "" {
				if !errors.Is(err, logical.ErrNotFound) {
					t.Errorf("got %s, error %v", got, err)
				}
			} else if err != nil || got != test.want {
				t.Errorf("got %s, error %v, want %s", got, err, test.want)
			}
		})
	}
}

func TestWhatIsDeletedIsGone(t *testing.T) {
	h := newHouse(t)
	h.mustCall(logical.Write, "me", "a", `{"k":"v"}`)
	h.mustCall(logical.Delete, "me", "a", "")
	if _, err := h.call(logical.Read, "me", "a", ""); !errors.Is(err, logical.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	h.mustCall(logical.Delete, "me", "a", "") // deleting what is gone is no error
}

func TestRefusals(t *testing.T) {
	const batch = "cubbyhole operations are only supported by service tokens"
	tests := []struct {
		name              string
		op                logical.Op
		token, path, body string
		want              string
	}{
		{"a batch token reads", logical.Read, "", "a", "", batch},
		{"a batch token lists", logical.List, "", "a", "", batch},
		{"a batch token writes", logical.Write, "", "a", `{"k":"v"}`, batch},
		{"a batch token deletes", logical.Delete, "", "a", "", batch},
		{"a write without a body", logical.Write, "me", "a", "", "missing data fields"},
		{"a write of nothing", logical.Write, "me", "a", "{}", "missing data fields"},
		{"a write of null", logical.Write, "me", "a", "null", "missing data fields"},
		{"a write of a list", logical.Write, "me", "a", "[1]", "not an object"},
		{"a write to no path", logical.Write, "me", "", `{"k":"v"}`, "missing path"},
		{"a write to a folder", logical.Write, "me", "a/", `{"k":"v"}`, "slash"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := newHouse(t).call(test.op, test.token, test.path, test.body)
			if !errors.Is(err, logical.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestAWriteTellsCreationFromChange(t *testing.T) {
	h := newHouse(t)
	h.mustCall(logical.Write, "me", "a", `{"k":"v"}`)
	tests := []struct {
		name, token, path string
		want              bool
	}{
		{"an entry", "me", "a", true},
		{"no entry", "me", "b", false},
		{"the entry of another", "you", "a", false},
		{"a batch token", "", "a", false},
		{"no path", "me", "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h.Caller = &logical.Caller{TokenID: test.token}
			if got := h.Exists(test.path); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// The core removes the rows below this key when a token ends.
func TestRowsLieWhereTheCoreRemovesThem(t *testing.T) {
	h := newHouse(t)
	h.mustCall(logical.Write, "id", "a/b", `{"k":"v"}`)
	keys := h.Keys()
	want := mounttest.Key + storage.Plain("t") + storage.Name("id") + storage.Path("a/b")
	if len(keys) != 1 || keys[0] != want {
		t.Errorf("keys %q, want %q", keys, want)
	}
}
