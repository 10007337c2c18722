package custody

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/seal"
	"github.com/cofferhq/coffer/internal/seal/keyfile"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
	"github.com/cofferhq/coffer/internal/storage/storetest"
)

// start returns a Keeper as a process that starts has it.
func start(inner storage.Store, auto seal.Seal) *Keeper {
	return New(inner, barrier.New(inner), auto)
}

func newKeyfile(t *testing.T) seal.Seal {
	t.Helper()
	s, err := keyfile.Create(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustInit(t *testing.T, k *Keeper, p Params) Result {
	t.Helper()
	r, err := k.Init(t.Context(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustUnseal(t *testing.T, k *Keeper, share secret.Bytes) Status {
	t.Helper()
	s, err := k.Unseal(t.Context(), share.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustStatus(t *testing.T, k *Keeper) Status {
	t.Helper()
	s, err := k.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSharesOpenWhatTheyWereMadeFor(t *testing.T) {
	k := start(inmem.New(), nil)
	if got, want := mustStatus(t, k), (Status{Type: TypeShamir, Sealed: true}); got != want {
		t.Errorf("before: %+v, want %+v", got, want)
	}
	keys := mustInit(t, k, Params{Shares: 5, Threshold: 3}).Keys
	if len(keys) != 5 {
		t.Fatalf("%d keys", len(keys))
	}
	want := Status{Type: TypeShamir, Initialized: true, Sealed: true, Threshold: 3, Shares: 5}
	if got := mustStatus(t, k); got != want {
		t.Errorf("initialized: %+v, want %+v", got, want)
	}
	first := mustUnseal(t, k, keys[4])
	if first.Nonce == "" {
		t.Error("no nonce during an attempt")
	}
	want.Nonce, want.Progress = first.Nonce, 1
	if first != want {
		t.Errorf("one key: %+v, want %+v", first, want)
	}
	if again := mustUnseal(t, k, keys[4]); again != want {
		t.Errorf("the same key again: %+v, want %+v", again, want)
	}
	want.Progress = 2
	if second := mustUnseal(t, k, keys[0]); second != want {
		t.Errorf("two keys: %+v, want %+v", second, want)
	}
	want.Progress, want.Nonce, want.Sealed = 0, "", false
	if last := mustUnseal(t, k, keys[2]); last != want {
		t.Errorf("three keys: %+v, want %+v", last, want)
	}
	if more := mustUnseal(t, k, secret.Text("anything")); more != want {
		t.Errorf("open already: %+v, want %+v", more, want)
	}
	k.Seal()
	want.Sealed = true
	if got := mustStatus(t, k); got != want {
		t.Errorf("sealed again: %+v, want %+v", got, want)
	}
}

func TestOneShareOfOneOpens(t *testing.T) {
	k := start(inmem.New(), nil)
	keys := mustInit(t, k, Params{Shares: 1, Threshold: 1}).Keys
	if mustUnseal(t, k, keys[0]).Sealed {
		t.Error("still sealed")
	}
}

func TestARestartBeginsAnotherAttempt(t *testing.T) {
	inner := inmem.New()
	k := start(inner, nil)
	keys := mustInit(t, k, Params{Shares: 3, Threshold: 2}).Keys
	mustUnseal(t, k, keys[0])
	k = start(inner, nil)
	if s := mustStatus(t, k); s.Progress != 0 || s.Nonce != "" || !s.Initialized {
		t.Errorf("after a restart: %+v", s)
	}
	mustUnseal(t, k, keys[1])
	if mustUnseal(t, k, keys[2]).Sealed {
		t.Error("still sealed")
	}
}

func TestAResetBeginsAnotherAttempt(t *testing.T) {
	k := start(inmem.New(), nil)
	keys := mustInit(t, k, Params{Shares: 2, Threshold: 2}).Keys
	nonce := mustUnseal(t, k, keys[0]).Nonce
	k.ResetUnseal()
	if s := mustStatus(t, k); s.Progress != 0 || s.Nonce != "" {
		t.Errorf("after the reset: %+v", s)
	}
	if s := mustUnseal(t, k, keys[1]); s.Progress != 1 || s.Nonce == nonce {
		t.Errorf("the next key: %+v, after nonce %s", s, nonce)
	}
}

func TestBadSharesAreRefused(t *testing.T) {
	k := start(inmem.New(), nil)
	keys := mustInit(t, k, Params{Shares: 2, Threshold: 2}).Keys
	other := mustInit(t, start(inmem.New(), nil), Params{Shares: 2, Threshold: 2}).Keys
	mustUnseal(t, k, keys[0])
	good := keys[1].Reveal()
	typo := append([]byte(nil), good...)
	typo[7] ^= 1
	twin := append([]byte(nil), keys[0].Reveal()[:rawShareBytes]...)
	twin[0] ^= 1
	_, set, err := parts(good)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		share []byte
		text  string
	}{
		"nothing":                       {nil, "0 bytes"},
		"too short":                     {good[:shareBytes-1], "bytes"},
		"too long":                      {append(good[:shareBytes:shareBytes], 0), "bytes"},
		"mistyped":                      {typo, "checksum"},
		"of another server":             {other[0].Reveal(), "is of set"},
		"another of the first's number": {issue(secret.New(twin), set).Reveal(), "number"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := k.Unseal(t.Context(), test.share)
			if !errors.Is(err, ErrShare) || !errors.Is(err, logical.ErrInvalid) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v, want a refusal with %q", err, test.text)
			}
			if s := mustStatus(t, k); s.Progress != 1 {
				t.Errorf("progress is %d", s.Progress)
			}
		})
	}
}

// parts returns what a share consists of.
func parts(share []byte) (raw secret.Bytes, set setID, err error) {
	set = setID(share[rawShareBytes:])
	raw, err = accept(share, set)
	return raw, set, err
}

func TestWrongSharesResetTheAttempt(t *testing.T) {
	k := start(inmem.New(), nil)
	keys := mustInit(t, k, Params{Shares: 2, Threshold: 2}).Keys
	raw, set, err := parts(keys[1].Reveal())
	if err != nil {
		t.Fatal(err)
	}
	forged := append([]byte(nil), raw.Reveal()...)
	forged[3] ^= 1
	mustUnseal(t, k, keys[0])
	_, err = k.Unseal(t.Context(), issue(secret.New(forged), set).Reveal())
	if !errors.Is(err, ErrShare) || !errors.Is(err, logical.ErrInvalid) || !strings.Contains(err.Error(), "reset") {
		t.Fatalf("wrong keys together: %v", err)
	}
	if s := mustStatus(t, k); s.Progress != 0 || s.Nonce != "" || !s.Sealed {
		t.Errorf("after the failure: %+v", s)
	}
	mustUnseal(t, k, keys[0])
	if mustUnseal(t, k, keys[1]).Sealed {
		t.Error("the right keys do not open any more")
	}
}

func TestAShareTextSurvivesAndPartsFit(t *testing.T) {
	set := newSetID()
	raw := secret.New([]byte(strings.Repeat("x", rawShareBytes)))
	share := issue(raw, set).Reveal()
	if got, err := accept(share, set); err != nil || !got.Equal(raw) {
		t.Errorf("accept after issue: %v", err)
	}
	for i := range len(share) * 8 {
		flipped := append([]byte(nil), share...)
		flipped[i/8] ^= 1 << (i % 8)
		if _, err := accept(flipped, set); !errors.Is(err, ErrShare) {
			t.Errorf("bit %d may be flipped", i)
		}
	}
}

func TestASealOpensByItself(t *testing.T) {
	inner, auto := inmem.New(), newKeyfile(t)
	k := start(inner, auto)
	if got, want := mustStatus(t, k), (Status{Type: keyfile.Type, Sealed: true, RecoverySeal: true}); got != want {
		t.Errorf("before: %+v, want %+v", got, want)
	}
	if err := k.AutoUnseal(t.Context()); !errors.Is(err, ErrUninitialized) {
		t.Errorf("before: %v, want %v", err, ErrUninitialized)
	}
	r := mustInit(t, k, Params{RecoveryShares: 3, RecoveryThreshold: 2})
	if len(r.Keys) != 0 || len(r.RecoveryKeys) != 3 {
		t.Fatalf("%d keys, %d recovery keys", len(r.Keys), len(r.RecoveryKeys))
	}
	for range 2 { // the second time nothing is to be done
		if err := k.AutoUnseal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := Status{Type: keyfile.Type, Initialized: true, Threshold: 2, Shares: 3, RecoverySeal: true}
	if got := mustStatus(t, k); got != want {
		t.Errorf("open: %+v, want %+v", got, want)
	}
	k.Seal()
	if _, err := k.Unseal(t.Context(), r.RecoveryKeys[0].Reveal()); !errors.Is(err, ErrWrongSeal) {
		t.Errorf("a recovery key: %v, want %v", err, ErrWrongSeal)
	}
	if err := start(inner, newKeyfile(t)).AutoUnseal(t.Context()); !errors.Is(err, ErrWrongSeal) {
		t.Errorf("another key file: %v, want %v", err, ErrWrongSeal)
	}
	if err := start(inner, nil).AutoUnseal(t.Context()); !errors.Is(err, ErrWrongSeal) {
		t.Errorf("no seal: %v, want %v", err, ErrWrongSeal)
	}
	if err := start(inner, auto).AutoUnseal(t.Context()); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

func TestRecoveryKeysAreOptional(t *testing.T) {
	k := start(inmem.New(), newKeyfile(t))
	if r := mustInit(t, k, Params{}); len(r.RecoveryKeys) != 0 {
		t.Errorf("%d recovery keys", len(r.RecoveryKeys))
	}
	if err := k.AutoUnseal(t.Context()); err != nil {
		t.Error(err)
	}
}

// forgetful is a seal that cannot undo what it did.
type forgetful struct{ seal.Seal }

func (f forgetful) Unwrap(context.Context, []byte) (secret.Bytes, error) {
	return secret.Text("something else"), nil
}

func TestASealThatLosesKeysIsFoundOutAtInit(t *testing.T) {
	inner := inmem.New()
	k := start(inner, forgetful{newKeyfile(t)})
	if _, err := k.Init(t.Context(), Params{}, nil); !errors.Is(err, ErrWrongSeal) {
		t.Errorf("got %v, want %v", err, ErrWrongSeal)
	}
	if mustStatus(t, start(inner, nil)).Initialized {
		t.Error("initialized all the same")
	}
}

func TestParametersAreCheckedAsVaultDoes(t *testing.T) {
	auto := newKeyfile(t)
	tests := []struct {
		auto seal.Seal
		p    Params
		want string
	}{
		{nil, Params{}, "invalid seal configuration: shares must be at least one"},
		{nil, Params{Shares: -1, Threshold: 1}, "shares must be at least one"},
		{nil, Params{Shares: 1}, "threshold must be at least one"},
		{nil, Params{Shares: 2, Threshold: 1}, "threshold must be greater than one for multiple shares"},
		{nil, Params{Shares: 256, Threshold: 2}, "shares must be less than 256"},
		{nil, Params{Shares: 255, Threshold: 256}, "threshold must be less than 256"},
		{nil, Params{Shares: 2, Threshold: 3}, "threshold cannot be larger than shares"},
		{nil, Params{Shares: 1, Threshold: 1, RecoveryShares: 1}, "not applicable to seal type shamir"},
		{auto, Params{Shares: 1, Threshold: 1}, "not applicable to seal type keyfile"},
		{auto, Params{RecoveryShares: 1}, "invalid recovery configuration: threshold must be at least one"},
		{auto, Params{RecoveryThreshold: 1}, "shares must be at least one"},
	}
	for _, test := range tests {
		_, err := start(inmem.New(), test.auto).Init(t.Context(), test.p, nil)
		if !errors.Is(err, logical.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.p, err, test.want)
		}
	}
}

func TestNothingIsEverInitializedTwice(t *testing.T) {
	dataKey := storage.Plain("b") + storage.Plain("row")
	keyring := barrier.RawKey("keyring")
	newer := []byte(`{"version":2,"type":"quantum"}`)
	tests := map[string][]storage.Op{
		"as it was":                            nil,
		"the configuration is gone":            {storage.Delete(configKey)},
		"the configuration is damaged":         {storage.Put(configKey, []byte("{"))},
		"the configuration is newer":           {storage.Put(configKey, newer)},
		"the keyring is gone":                  {storage.Delete(keyring)},
		"the keyring is damaged":               {storage.Put(keyring, nil)},
		"both are gone and there is data":      {storage.Delete(keyring), storage.Delete(configKey), storage.Put(dataKey, nil)},
		"the keyring is gone and there's data": {storage.Delete(keyring), storage.Put(dataKey, nil)},
	}
	for name, ops := range tests {
		t.Run(name, func(t *testing.T) {
			inner := inmem.New()
			mustInit(t, start(inner, nil), Params{Shares: 1, Threshold: 1})
			if _, err := inner.Apply(t.Context(), nil, ops); err != nil {
				t.Fatal(err)
			}
			before := dump(t, inner)
			_, err := start(inner, nil).Init(t.Context(), Params{Shares: 1, Threshold: 1}, nil)
			if !errors.Is(err, ErrInitialized) || !errors.Is(err, logical.ErrInvalid) ||
				!strings.Contains(err.Error(), "is already initialized") {
				t.Errorf("got %v, want %v", err, ErrInitialized)
			}
			if after := dump(t, inner); after != before {
				t.Error("the store was changed")
			}
		})
	}
}

// dump returns everything in a store.
func dump(t *testing.T, s storage.Store) string {
	t.Helper()
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	var all strings.Builder
	for e, err := range snap.Range(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(e.Key + "=" + string(e.Value) + "\n")
	}
	return all.String()
}

func TestAnIncompleteStoreSaysWhatIsWrong(t *testing.T) {
	tests := map[string]struct {
		op   storage.Op
		want error
	}{
		"no configuration":       {storage.Delete(configKey), ErrIncomplete},
		"no keyring":             {storage.Delete(barrier.RawKey("keyring")), ErrIncomplete},
		"a newer configuration":  {storage.Put(configKey, []byte(`{"version":2,"keys":7}`)), ErrConfig},
		"a wild configuration":   {storage.Put(configKey, []byte(`{"version":1,"type":"shamir"}`)), ErrConfig},
		"an absurd threshold":    {storage.Put(configKey, []byte(`{"version":1,"type":"shamir","keys":{"shares":2,"threshold":3,"set":"01020304"}}`)), ErrConfig},
		"a set id too long":      {storage.Put(configKey, []byte(`{"version":1,"type":"shamir","keys":{"shares":2,"threshold":2,"set":"0102030405"}}`)), ErrConfig},
		"a seal without its key": {storage.Put(configKey, []byte(`{"version":1,"type":"keyfile"}`)), ErrConfig},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inner := inmem.New()
			k := start(inner, nil)
			keys := mustInit(t, k, Params{Shares: 1, Threshold: 1}).Keys
			if _, err := inner.Apply(t.Context(), nil, []storage.Op{test.op}); err != nil {
				t.Fatal(err)
			}
			if _, err := k.Status(t.Context()); !errors.Is(err, test.want) {
				t.Errorf("status: %v, want %v", err, test.want)
			}
			if _, err := k.Unseal(t.Context(), keys[0].Reveal()); !errors.Is(err, test.want) {
				t.Errorf("unseal: %v, want %v", err, test.want)
			}
			if err := k.AutoUnseal(t.Context()); !errors.Is(err, test.want) {
				t.Errorf("auto-unseal: %v, want %v", err, test.want)
			}
		})
	}
}

func TestADamagedKeyringIsNotTakenForAWrongKey(t *testing.T) {
	inner := inmem.New()
	k := start(inner, nil)
	keys := mustInit(t, k, Params{Shares: 1, Threshold: 1}).Keys
	if _, err := inner.Apply(t.Context(), nil, []storage.Op{storage.Put(barrier.RawKey("keyring"), []byte("CFKR junk"))}); err != nil {
		t.Fatal(err)
	}
	_, err := k.Unseal(t.Context(), keys[0].Reveal())
	if !errors.Is(err, barrier.ErrDamaged) || errors.Is(err, ErrShare) {
		t.Errorf("got %v, want %v", err, barrier.ErrDamaged)
	}
}

func TestAStorageThatFailsDuringInit(t *testing.T) {
	t.Run("before the commit, nothing has happened", func(t *testing.T) {
		inner := inmem.New()
		k := start(&storetest.Faulty{Store: inner, N: 1}, nil)
		if _, err := k.Init(t.Context(), Params{Shares: 1, Threshold: 1}, nil); !errors.Is(err, storage.ErrUnknownOutcome) {
			t.Fatalf("got %v, want %v", err, storage.ErrUnknownOutcome)
		}
		k = start(inner, nil) // the next process, or the same
		keys := mustInit(t, k, Params{Shares: 1, Threshold: 1}).Keys
		if mustUnseal(t, k, keys[0]).Sealed {
			t.Error("still sealed")
		}
	})
	t.Run("after the commit, the keys are handed out all the same", func(t *testing.T) {
		k := start(&storetest.Faulty{Store: inmem.New(), N: 1, After: true}, nil)
		keys := mustInit(t, k, Params{Shares: 1, Threshold: 1}).Keys
		if mustUnseal(t, k, keys[0]).Sealed {
			t.Error("still sealed")
		}
	})
	t.Run("for good, the operator is told", func(t *testing.T) {
		k := start(&storetest.Faulty{Store: inmem.New(), N: 1, After: true, Dead: true}, nil)
		_, err := k.Init(t.Context(), Params{Shares: 1, Threshold: 1}, nil)
		var told *logical.Error
		if !errors.As(err, &told) || told.Hint == "" {
			t.Errorf("got %v, want a hint", err)
		}
	})
}
