package barrier_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/storage"
)

// raw returns all rows of the store below a barrier.
func raw(t testing.TB, inner storage.Store) []storage.Entry {
	t.Helper()
	return list(t, inner, "", "")
}

func TestTheStoreShowsNeitherValuesNorNames(t *testing.T) {
	b, inner := unsealed(t)
	canaries := []string{"value-canary", "leaf-canary", "folder-canary/", "path-canary"}
	put(t, b, storage.Plain("table")+storage.Path("folder-canary/leaf-canary"), "value-canary")
	put(t, b, storage.Name("path-canary")+storage.Plain("x"), "value-canary value-canary")
	var all bytes.Buffer
	for _, e := range raw(t, inner) {
		all.WriteString(e.Key)
		all.WriteByte('\n')
		all.Write(e.Value)
		all.WriteByte('\n')
	}
	for _, c := range canaries {
		for name, form := range map[string]string{
			"as it is":     c,
			"hexadecimal":  hex.EncodeToString([]byte(c)),
			"base64":       base64.RawStdEncoding.EncodeToString([]byte(c))[:8],
			"its own half": c[:len(c)/2],
		} {
			if bytes.Contains(bytes.ToLower(all.Bytes()), []byte(strings.ToLower(form))) {
				t.Errorf("%q is found, %s", c, name)
			}
		}
	}
	if !bytes.Contains(all.Bytes(), []byte("table")) {
		t.Error("a plain segment is not found: the test looks in the wrong place")
	}
}

func TestOneNameIsHiddenDifferentlyBelowDifferentParents(t *testing.T) {
	b, inner := unsealed(t)
	put(t, b, storage.Plain("one")+storage.Name("same"), "")
	put(t, b, storage.Plain("two")+storage.Name("same"), "")
	put(t, b, storage.Name("dir")+storage.Name("same"), "")
	seen := map[string]bool{}
	for _, e := range raw(t, inner) {
		if strings.HasPrefix(e.Key, storage.Plain("b")) {
			seen[e.Key[len(e.Key)-16:]] = true
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d hidden names, want 3", len(seen))
	}
}

func TestAnyFlippedBitFailsToDecrypt(t *testing.T) {
	b, inner := unsealed(t)
	key := storage.Plain("t") + storage.Name("k")
	put(t, b, key, "v")
	row := list(t, inner, storage.Plain("b"), "")[0]
	for i := range len(row.Value) * 8 {
		flipped := bytes.Clone(row.Value)
		flipped[i/8] ^= 1 << (i % 8)
		put(t, inner, row.Key, string(flipped))
		if _, err := get(t, b, key); !errors.Is(err, barrier.ErrDecrypt) {
			t.Errorf("bit %d: %v, want %v", i, err, barrier.ErrDecrypt)
		}
	}
	for _, cut := range [][]byte{nil, row.Value[:4], row.Value[:20], row.Value[:len(row.Value)-1]} {
		put(t, inner, row.Key, string(cut))
		if _, err := get(t, b, key); !errors.Is(err, barrier.ErrDecrypt) {
			t.Errorf("%d bytes: %v, want %v", len(cut), err, barrier.ErrDecrypt)
		}
	}
	put(t, inner, row.Key, string(row.Value))
	if _, err := get(t, b, key); err != nil {
		t.Errorf("as it was: %v", err)
	}
}

func TestSwappedEntriesFailToDecrypt(t *testing.T) {
	b, inner := unsealed(t)
	keys := []string{storage.Name("a"), storage.Name("b"), storage.Plain("c"), storage.Plain("d")}
	for _, key := range keys {
		put(t, b, key, "v")
	}
	rows := list(t, inner, storage.Plain("b"), "")
	for i, row := range rows {
		put(t, inner, row.Key, string(rows[(i+1)%len(rows)].Value))
	}
	for _, key := range keys {
		if _, err := get(t, b, key); !errors.Is(err, barrier.ErrDecrypt) {
			t.Errorf("get %q: %v, want %v", key, err, barrier.ErrDecrypt)
		}
	}
}

func TestPurposesAndPartsAreKeptApart(t *testing.T) {
	b, _ := unsealed(t)
	parts := [][][]byte{nil, {{}}, {{}, {}}, {[]byte("ab")}, {[]byte("a"), []byte("b")}, {[]byte("ab"), {}}, {{}, []byte("ab")}}
	seen := map[string]string{}
	for _, p := range []barrier.Purpose{barrier.PurposeToken, barrier.PurposeBatch} {
		for _, ps := range parts {
			mac, err := b.MAC(p, ps...)
			if err != nil || len(mac) != 32 {
				t.Fatalf("%x, %v", mac, err)
			}
			what := fmt.Sprintf("purpose %d of %q", p, ps)
			if other, ok := seen[string(mac)]; ok {
				t.Errorf("%s and %s have one MAC", what, other)
			}
			seen[string(mac)] = what
			if again, _ := b.MAC(p, ps...); !bytes.Equal(again, mac) {
				t.Errorf("%s has two MACs", what)
			}
		}
	}
}

func TestABlobOpensForItsPurposeAndDataOnly(t *testing.T) {
	b, _ := unsealed(t)
	blob, err := b.Encrypt(barrier.PurposeBatch, []byte("plain"), []byte("aad"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.Decrypt(barrier.PurposeBatch, blob, []byte("aad")); err != nil || string(got) != "plain" {
		t.Errorf("decrypted %q, %v", got, err)
	}
	if _, err := b.Decrypt(barrier.PurposeToken, blob, []byte("aad")); !errors.Is(err, barrier.ErrDecrypt) {
		t.Errorf("another purpose: %v", err)
	}
	if _, err := b.Decrypt(barrier.PurposeBatch, blob, []byte("other")); !errors.Is(err, barrier.ErrDecrypt) {
		t.Errorf("other data: %v", err)
	}
	for i := range len(blob) * 8 {
		blob[i/8] ^= 1 << (i % 8)
		if _, err := b.Decrypt(barrier.PurposeBatch, blob, []byte("aad")); !errors.Is(err, barrier.ErrDecrypt) {
			t.Errorf("bit %d may be flipped", i)
		}
		blob[i/8] ^= 1 << (i % 8)
	}
	if err := b.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Decrypt(barrier.PurposeBatch, blob, []byte("aad")); err != nil {
		t.Errorf("after a rotation of the data key: %v", err)
	}
}
