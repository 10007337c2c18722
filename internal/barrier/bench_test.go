package barrier_test

import (
	"crypto/aes"
	"crypto/cipher"
	"testing"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/storage"
)

// A typical row: a table, a mount, a path of two names, 300 bytes.
var (
	benchKey   = storage.Plain("kv") + storage.Plain("3fa8c1d0") + storage.Path("app/db")
	benchValue = make([]byte, 300)
)

func BenchmarkGet(b *testing.B) {
	bar, _ := unsealed(b)
	put(b, bar, benchKey, string(benchValue))
	snap, err := bar.Snapshot(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer snap.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := snap.Get(b.Context(), benchKey); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	bar, _ := unsealed(b)
	ops := []storage.Op{storage.Put(benchKey, benchValue)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bar.Apply(b.Context(), nil, ops); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMAC(b *testing.B) {
	bar, _ := unsealed(b)
	text := []byte("cfs.0123456789abcdefghijklmnop")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bar.MAC(barrier.PurposeToken, text); err != nil {
			b.Fatal(err)
		}
	}
}

// What the store below costs by itself.
func BenchmarkGetBelow(b *testing.B) {
	_, inner := unsealed(b)
	put(b, inner, benchKey, string(benchValue))
	snap, err := inner.Snapshot(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer snap.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := snap.Get(b.Context(), benchKey); err != nil {
			b.Fatal(err)
		}
	}
}

// The standard library's AES-256-GCM, for comparison.
func BenchmarkBaselineOpen(b *testing.B) {
	aead := baseline(b)
	sealed := aead.Seal(nil, nil, benchValue, []byte(benchKey))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := aead.Open(nil, nil, sealed, []byte(benchKey)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBaselineSeal(b *testing.B) {
	aead := baseline(b)
	b.ReportAllocs()
	for b.Loop() {
		aead.Seal(nil, nil, benchValue, []byte(benchKey))
	}
}

func baseline(b *testing.B) cipher.AEAD {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		b.Fatal(err)
	}
	return aead
}
