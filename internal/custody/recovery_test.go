package custody

import (
	"context"
	"errors"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/seal"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
	"github.com/cofferhq/coffer/internal/storage/storetest"
)

// recoverable returns an unsealed Keeper with a seal on disk, and the shares of
// its recovery key, any two of three.
func recoverable(t *testing.T, disk storage.Store, auto seal.Seal) (*Keeper, []secret.Bytes) {
	t.Helper()
	k := start(disk, auto)
	keys := mustInit(t, k, Params{RecoveryShares: 3, RecoveryThreshold: 2}).RecoveryKeys
	if err := k.AutoUnseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	return k, keys
}

// proves says whether two shares are of the recovery key.
func proves(t *testing.T, k *Keeper, a, b secret.Bytes) bool {
	t.Helper()
	begun, err := k.StartProof(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer k.CancelProof()
	proven := false
	for _, share := range []secret.Bytes{a, b} {
		if _, proven, err = k.Prove(t.Context(), begun.Nonce, share.Reveal()); err != nil && !errors.Is(err, ErrShare) {
			t.Fatal(err)
		}
	}
	return proven
}

// giveTwo gives two shares of the recovery key and returns the new ones.
func giveTwo(t *testing.T, k *Keeper, keys []secret.Bytes, verify bool) (RekeyStatus, []secret.Bytes, error) {
	t.Helper()
	begun, err := k.StartRekey(t.Context(), RecoveryKey, 2, 2, verify)
	if err != nil {
		t.Fatal(err)
	}
	if begun.Required != 2 || !begun.Started || begun.Shares != 2 {
		t.Errorf("begun: %+v", begun)
	}
	if _, issued, err := k.Rekey(t.Context(), RecoveryKey, begun.Nonce, keys[0].Reveal()); err != nil || issued != nil {
		t.Fatalf("after one share: %d keys, %v", len(issued), err)
	}
	return k.Rekey(t.Context(), RecoveryKey, begun.Nonce, keys[2].Reveal())
}

func TestTheRecoveryKeyIsReplaced(t *testing.T) {
	disk, auto := inmem.New(), newKeyfile(t)
	k, keys := recoverable(t, disk, auto)
	_, issued, err := giveTwo(t, k, keys, false)
	if err != nil || len(issued) != 2 {
		t.Fatalf("%d keys, %v", len(issued), err)
	}
	if proves(t, k, keys[0], keys[1]) || !proves(t, k, issued[0], issued[1]) {
		t.Error("the old shares are still the ones that count")
	}
	if s := mustStatus(t, k); s.Shares != 2 || s.Threshold != 2 {
		t.Errorf("the status tells of %d shares, %d needed", s.Shares, s.Threshold)
	}
	// The seal unseals as before, and a restart forgets nothing.
	again := start(disk, auto)
	if err := again.AutoUnseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !proves(t, again, issued[0], issued[1]) {
		t.Error("a restart has brought the old shares back")
	}
}

func TestNewRecoverySharesCountOnceTheyAreVerified(t *testing.T) {
	k, keys := recoverable(t, inmem.New(), newKeyfile(t))
	s, issued, err := giveTwo(t, k, keys, true)
	if err != nil || s.VerificationNonce == "" {
		t.Fatalf("%+v, %v", s, err)
	}
	if proves(t, k, issued[0], issued[1]) || !proves(t, k, keys[0], keys[1]) {
		t.Error("the new shares count before they were verified")
	}
	for i, share := range issued {
		_, done, err := k.VerifyRekey(t.Context(), RecoveryKey, s.VerificationNonce, share.Reveal())
		if err != nil || done != (i == 1) {
			t.Fatalf("share %d: done %v, %v", i, done, err)
		}
	}
	if proves(t, k, keys[0], keys[1]) || !proves(t, k, issued[0], issued[1]) {
		t.Error("the new shares do not count")
	}
}

func TestRekeyingTheRecoveryKeyIsAllOrNothing(t *testing.T) {
	for _, after := range []bool{false, true} {
		disk := &storetest.Faulty{Store: inmem.New(), N: 2, After: after} // the first is Init's
		k, keys := recoverable(t, disk, newKeyfile(t))
		_, issued, err := giveTwo(t, k, keys, false)
		if (err == nil) != after {
			t.Fatalf("committed %v, error %v", after, err)
		}
		good := keys
		if after {
			good = issued
		}
		if !proves(t, k, good[0], good[1]) {
			t.Errorf("committed %v: the shares that should count do not", after)
		}
	}
}

func TestASealThatCannotKeepTheNewKeyChangesNothing(t *testing.T) {
	auto := &broken{Seal: newKeyfile(t)}
	k, keys := recoverable(t, inmem.New(), auto)
	auto.refuses = true
	if _, issued, err := giveTwo(t, k, keys, false); !errors.Is(err, errBroken) || issued != nil {
		t.Errorf("%d keys, %v", len(issued), err)
	}
	k.CancelRekey(RecoveryKey)
	if !proves(t, k, keys[0], keys[1]) {
		t.Error("the old shares do not count any more")
	}
}

// broken is a seal that wraps nothing if it refuses.
type broken struct {
	seal.Seal
	refuses bool
}

var errBroken = errors.New("the seal is broken")

func (b *broken) Wrap(ctx context.Context, key secret.Bytes) ([]byte, error) {
	if b.refuses {
		return nil, errBroken
	}
	return b.Seal.Wrap(ctx, key)
}

func TestAKeyIsRekeyedWherePeopleHoldIt(t *testing.T) {
	shamir, _ := opened(t)
	auto, _ := recoverable(t, inmem.New(), newKeyfile(t))
	bare := start(inmem.New(), newKeyfile(t))
	mustInit(t, bare, Params{})
	if err := bare.AutoUnseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		k     *Keeper
		which HeldKey
		want  error
	}{
		{"the root key, of people", shamir, RootKey, nil},
		{"the root key, of a seal", auto, RootKey, ErrWrongSeal},
		{"a recovery key where people unseal", shamir, RecoveryKey, ErrWrongSeal},
		{"a recovery key", auto, RecoveryKey, nil},
		{"a recovery key that nobody got a share of", bare, RecoveryKey, ErrAttempt},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.k.StartRekey(t.Context(), test.which, 1, 1, false)
			if test.want == nil && err == nil {
				return
			}
			var told *logical.Error
			if !errors.Is(err, test.want) || !errors.As(err, &told) || told.Hint == "" {
				t.Errorf("%v, want %v with a hint", err, test.want)
			}
		})
	}
	if _, err := bare.StartProof(t.Context()); !errors.Is(err, ErrAttempt) {
		t.Errorf("a proof of a key that there is not: %v", err)
	}
	if _, err := shamir.RekeyStatus(t.Context(), RecoveryKey); !errors.Is(err, ErrWrongSeal) {
		t.Errorf("the status of a key that there is not: %v", err)
	}
}

func TestBothKeysAreNotMixedUp(t *testing.T) {
	k, keys := recoverable(t, inmem.New(), newKeyfile(t))
	begun, err := k.StartRekey(t.Context(), RecoveryKey, 1, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Rekey(t.Context(), RootKey, begun.Nonce, keys[0].Reveal()); !errors.Is(err, ErrAttempt) {
		t.Errorf("a share at the wrong door: %v", err)
	}
	k.CancelRekey(RootKey)
	if s, err := k.RekeyStatus(t.Context(), RecoveryKey); err != nil || !s.Started {
		t.Errorf("cancelled by another: %+v, %v", s, err)
	}
	k.Seal()
	if err := k.AutoUnseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, err := k.RekeyStatus(t.Context(), RecoveryKey); err != nil || s.Started {
		t.Errorf("it outlived the sealing: %+v, %v", s, err)
	}
}
