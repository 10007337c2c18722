package barrier_test

import (
	"errors"
	"regexp"
	"slices"
	"testing"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

var keyringKey = barrier.RawKey("keyring")

func TestABarrierIsInitializedOnce(t *testing.T) {
	inner := inmem.New()
	b := barrier.New(inner)
	if ok, err := b.Initialized(t.Context()); ok || err != nil {
		t.Errorf("before: %v, %v", ok, err)
	}
	if err := b.Unseal(t.Context(), rootKey(1)); !errors.Is(err, barrier.ErrUninitialized) {
		t.Errorf("unseal before: %v, want %v", err, barrier.ErrUninitialized)
	}
	extra := storage.Put(barrier.RawKey("config"), []byte("plain"))
	if err := b.Initialize(t.Context(), rootKey(1), nil, extra); err != nil {
		t.Fatal(err)
	}
	if e, err := get(t, inner, extra.Key); err != nil || string(e.Value) != "plain" {
		t.Errorf("the extra row: %q, %v", e.Value, err)
	}
	if ok, err := b.Initialized(t.Context()); !ok || err != nil || !b.Sealed() {
		t.Errorf("after: initialized %v, %v, sealed %v", ok, err, b.Sealed())
	}
	before, _ := get(t, inner, keyringKey)
	if err := b.Initialize(t.Context(), rootKey(2), nil); !errors.Is(err, barrier.ErrInitialized) {
		t.Errorf("again: %v, want %v", err, barrier.ErrInitialized)
	}
	if after, _ := get(t, inner, keyringKey); after.Revision != before.Revision {
		t.Error("the keyring was replaced")
	}
}

func TestInitializeIsAllOrNothing(t *testing.T) {
	config := barrier.RawKey("config")
	t.Run("an extra row is there", func(t *testing.T) {
		inner := inmem.New()
		put(t, inner, config, "old")
		err := barrier.New(inner).Initialize(t.Context(), rootKey(1), nil, storage.Put(config, nil))
		if !errors.Is(err, barrier.ErrInitialized) || len(raw(t, inner)) != 1 {
			t.Errorf("got %v and %d rows", err, len(raw(t, inner)))
		}
	})
	t.Run("there is data without a keyring", func(t *testing.T) {
		inner := inmem.New()
		put(t, inner, storage.Plain("b")+storage.Plain("x"), "lost")
		b := barrier.New(inner)
		if err := b.Initialize(t.Context(), rootKey(1), nil); !errors.Is(err, barrier.ErrOrphaned) {
			t.Errorf("initialize: %v, want %v", err, barrier.ErrOrphaned)
		}
		if err := b.Unseal(t.Context(), rootKey(1)); !errors.Is(err, barrier.ErrOrphaned) {
			t.Errorf("unseal: %v, want %v", err, barrier.ErrOrphaned)
		}
	})
	for name, key := range map[string]string{"not a raw key": storage.Plain("x"), "the keyring's key": keyringKey} {
		t.Run(name, func(t *testing.T) {
			inner := inmem.New()
			err := barrier.New(inner).Initialize(t.Context(), rootKey(1), nil, storage.Put(key, nil))
			if !errors.Is(err, storage.ErrInvalid) || len(raw(t, inner)) != 0 {
				t.Errorf("got %v and %d rows", err, len(raw(t, inner)))
			}
		})
	}
	t.Run("a root key of the wrong length", func(t *testing.T) {
		inner := inmem.New()
		if err := barrier.New(inner).Initialize(t.Context(), secret.Text("short"), nil); err == nil || len(raw(t, inner)) != 0 {
			t.Errorf("got %v and %d rows", err, len(raw(t, inner)))
		}
	})
}

func TestOnlyTheRootKeyUnseals(t *testing.T) {
	b, inner := unsealed(t)
	b.Seal()
	for name, key := range map[string]secret.Bytes{"another": rootKey(2), "none": {}, "a short one": secret.Text("short")} {
		if err := b.Unseal(t.Context(), key); !errors.Is(err, barrier.ErrWrongKey) || !b.Sealed() {
			t.Errorf("%s: %v, sealed %v", name, err, b.Sealed())
		}
	}
	e, err := get(t, inner, keyringKey)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(e.Value) * 8 {
		e.Value[i/8] ^= 1 << (i % 8)
		put(t, inner, keyringKey, string(e.Value))
		if err := b.Unseal(t.Context(), rootKey(1)); !errors.Is(err, barrier.ErrDamaged) {
			t.Errorf("bit %d of the keyring: %v, want %v", i, err, barrier.ErrDamaged)
		}
		e.Value[i/8] ^= 1 << (i % 8)
	}
}

func TestTheClusterHasAnIdentity(t *testing.T) {
	b, _ := unsealed(t)
	other, _ := unsealed(t)
	id := b.ClusterID()
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
		t.Errorf("%q is no UUID", id)
	}
	if id == other.ClusterID() {
		t.Error("two clusters have one id")
	}
	if b.Generation() != 1 {
		t.Errorf("generation %d", b.Generation())
	}
	b.Seal()
	if err := b.Unseal(t.Context(), rootKey(1)); err != nil || b.ClusterID() != id {
		t.Errorf("after unsealing %q, %v, want %q", b.ClusterID(), err, id)
	}
}

func TestRotationKeepsOldDataReadable(t *testing.T) {
	b, inner := unsealed(t)
	key := func(term int) string { return storage.Name(string(rune('a' + term))) }
	put(t, b, key(1), "1")
	for term := 2; term <= 4; term++ {
		if err := b.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		put(t, b, key(term), "n")
	}
	terms := b.Terms()
	if len(terms) != 4 || terms[3].Number != 4 || terms[3].Created.Before(terms[0].Created) || terms[0].Created.IsZero() {
		t.Errorf("terms %+v", terms)
	}
	prefixes := map[string]bool{} // the ids of the data keys
	for _, e := range list(t, inner, storage.Plain("b"), "") {
		prefixes[string(e.Value[:5])] = true
	}
	if len(prefixes) != 4 {
		t.Errorf("%d data keys were used, want 4", len(prefixes))
	}
	again := barrier.New(inner)
	if err := again.Unseal(t.Context(), rootKey(1)); err != nil {
		t.Fatal(err)
	}
	for _, b := range []*barrier.Barrier{b, again} {
		for term := 1; term <= 4; term++ {
			if _, err := get(t, b, key(term)); err != nil {
				t.Errorf("term %d: %v", term, err)
			}
		}
	}
	if !slices.Equal(again.Terms(), terms) {
		t.Errorf("after unsealing: %+v, want %+v", again.Terms(), terms)
	}
}

func TestAnotherNodeFollowsARotation(t *testing.T) {
	one, inner := unsealed(t)
	two := barrier.New(inner)
	if err := two.Unseal(t.Context(), rootKey(1)); err != nil {
		t.Fatal(err)
	}
	if err := one.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, one, storage.Name("k"), "v")
	if e, err := get(t, two, storage.Name("k")); err != nil || string(e.Value) != "v" {
		t.Errorf("get: %q, %v", e.Value, err)
	}
	if err := two.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(two.Terms()); n != 3 {
		t.Errorf("%d terms, want 3", n)
	}
}

func TestRewrapChangesTheRootKeyOnly(t *testing.T) {
	b, inner := unsealed(t)
	put(t, b, storage.Name("k"), "v")
	id := b.ClusterID()
	config := barrier.RawKey("config")
	if err := b.Rewrap(t.Context(), rootKey(9), rootKey(2)); !errors.Is(err, barrier.ErrWrongKey) {
		t.Errorf("with a wrong key: %v, want %v", err, barrier.ErrWrongKey)
	}
	if err := b.Rewrap(t.Context(), rootKey(1), rootKey(2), storage.Put(config, []byte("new"))); err != nil {
		t.Fatal(err)
	}
	if e, err := get(t, inner, config); err != nil || string(e.Value) != "new" {
		t.Errorf("the extra row: %q, %v", e.Value, err)
	}
	if err := b.Rotate(t.Context()); err != nil {
		t.Errorf("rotate afterwards: %v", err)
	}
	b.Seal()
	if err := b.Rewrap(t.Context(), rootKey(2), rootKey(3)); err != nil || !b.Sealed() {
		t.Errorf("rewrap while sealed: %v, sealed %v", err, b.Sealed())
	}
	if err := b.Unseal(t.Context(), rootKey(1)); !errors.Is(err, barrier.ErrWrongKey) {
		t.Errorf("the old key: %v, want %v", err, barrier.ErrWrongKey)
	}
	if err := b.Unseal(t.Context(), rootKey(3)); err != nil {
		t.Fatal(err)
	}
	if e, err := get(t, b, storage.Name("k")); err != nil || string(e.Value) != "v" || b.ClusterID() != id {
		t.Errorf("%q, %v, cluster %s, want %s", e.Value, err, b.ClusterID(), id)
	}
}

func TestAClosedBarrierSaysSo(t *testing.T) {
	b, _ := unsealed(t)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Snapshot(t.Context()); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("snapshot: %v", err)
	}
	if _, err := b.Apply(t.Context(), nil, nil); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("apply: %v", err)
	}
	if err := b.Unseal(t.Context(), rootKey(1)); err == nil || errors.Is(err, logical.ErrSealed) {
		t.Errorf("unseal: %v", err)
	}
}

func TestTheFirstContentComesWithTheKeyring(t *testing.T) {
	key := storage.Plain("t") + storage.Name("k")
	t.Run("sealed with its keys, in one commit", func(t *testing.T) {
		inner := inmem.New()
		b := barrier.New(inner)
		var mac []byte
		err := b.Initialize(t.Context(), rootKey(1), func(tx *storage.Tx) (err error) {
			tx.Put(key, []byte("v"))
			mac, err = b.MAC(barrier.PurposeToken, []byte("token"))
			return err
		})
		if err != nil || !b.Sealed() {
			t.Fatalf("%v, sealed %v", err, b.Sealed())
		}
		rows := raw(t, inner)
		if len(rows) != 2 || rows[0].Revision != rows[1].Revision {
			t.Errorf("%d rows, not two of one commit", len(rows))
		}
		if err := b.Unseal(t.Context(), rootKey(1)); err != nil {
			t.Fatal(err)
		}
		if e, err := get(t, b, key); err != nil || string(e.Value) != "v" {
			t.Errorf("get: %q, %v", e.Value, err)
		}
		if again, err := b.MAC(barrier.PurposeToken, []byte("token")); err != nil || !slices.Equal(again, mac) {
			t.Errorf("the MAC has changed, %v", err)
		}
	})
	t.Run("also if it is none", func(t *testing.T) {
		b := barrier.New(inmem.New())
		if err := b.Initialize(t.Context(), rootKey(1), func(*storage.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if err := b.Unseal(t.Context(), rootKey(1)); err != nil {
			t.Error(err)
		}
	})
	t.Run("and not at all if it fails", func(t *testing.T) {
		inner := inmem.New()
		b := barrier.New(inner)
		failure := errors.New("failure")
		err := b.Initialize(t.Context(), rootKey(1), func(tx *storage.Tx) error { tx.Put(key, nil); return failure })
		if !errors.Is(err, failure) || len(raw(t, inner)) != 0 || !b.Sealed() {
			t.Errorf("%v, %d rows, sealed %v", err, len(raw(t, inner)), b.Sealed())
		}
	})
	t.Run("and not if somebody else was faster", func(t *testing.T) {
		inner := inmem.New()
		calls := 0
		err := barrier.New(inner).Initialize(t.Context(), rootKey(1), func(tx *storage.Tx) error {
			calls++
			tx.Put(key, nil)
			return barrier.New(inner).Initialize(t.Context(), rootKey(2), nil)
		})
		if !errors.Is(err, barrier.ErrInitialized) || calls != 1 || len(raw(t, inner)) != 1 {
			t.Errorf("%v after %d calls, %d rows", err, calls, len(raw(t, inner)))
		}
	})
}
