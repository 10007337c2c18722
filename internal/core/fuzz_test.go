package core

import (
	"bytes"
	"encoding/json"
	"path"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/storage/storetest"
)

// What is stored is read for ever, and no bytes are read as what they are not.
func FuzzRecords(f *testing.F) {
	storetest.FuzzRecords(f, storetest.Records(deviceForm), storetest.Records(headerForm), storetest.Records(corsForm),
		storetest.Records(voidForm))
}

// A path is taken if it names what a proxy that cleans paths takes it for, and
// only then.
func FuzzCheckPath(f *testing.F) {
	for _, seed := range []string{"", "a", "a/b/", "a//b", "/a", "a/../b", "a/.", "..", "a/..b/c.", "/", "a//"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, p string) {
		clean := path.Clean("/"+p) == "/"+strings.TrimSuffix(p, "/") && p != "/"
		if err := checkPath(p); (err == nil) != clean {
			t.Errorf("%q: %v", p, err)
		}
		if err := checkMountPath(p); err == nil && checkPath(p) != nil && checkPath(strings.TrimSuffix(p, "/")) != nil {
			t.Errorf("%q can be mounted at, not asked for", p)
		}
	})
}

// A text is written as the standard library does.
func FuzzAppendText(f *testing.F) {
	for _, seed := range []string{"", "plain", "a\"b\\c", "<&>", "\x7f\n", "é\u2028", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendText([]byte("x"), s); !bytes.Equal(got[1:], want) {
			t.Errorf("%s, want %s", got[1:], want)
		}
	})
}
