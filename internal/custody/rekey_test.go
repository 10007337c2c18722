package custody

import (
	"errors"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/storage/inmem"
	"github.com/cofferhq/coffer/internal/storage/storetest"
)

// opened returns an unsealed Keeper and its shares, any two of three.
func opened(t *testing.T) (*Keeper, []secret.Bytes) {
	t.Helper()
	k := start(inmem.New(), nil)
	keys := mustInit(t, k, Params{Shares: 3, Threshold: 2}).Keys
	mustUnseal(t, k, keys[0])
	mustUnseal(t, k, keys[1])
	return k, keys
}

func TestHoldersProveThatTheyAre(t *testing.T) {
	k, keys := opened(t)
	begun, err := k.StartProof(t.Context())
	if err != nil || !begun.Started || begun.Required != 2 {
		t.Fatalf("begun: %+v %v", begun, err)
	}
	if _, err := k.StartProof(t.Context()); !errors.Is(err, ErrAttempt) {
		t.Errorf("a second attempt: %v", err)
	}
	for _, tt := range []struct {
		name, nonce string
		share       []byte
		progress    int
		proven      bool
		want        error
	}{
		{"for another attempt", "other", keys[0].Reveal(), 0, false, ErrAttempt},
		{"a share of nothing", begun.Nonce, []byte("x"), 0, false, ErrShare},
		{"a share", begun.Nonce, keys[0].Reveal(), 1, false, nil},
		{"the same share", begun.Nonce, keys[0].Reveal(), 1, false, nil},
		{"another share", begun.Nonce, keys[2].Reveal(), 2, true, nil},
		{"a share after the end", begun.Nonce, keys[1].Reveal(), 0, false, ErrAttempt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, proven, err := k.Prove(t.Context(), tt.nonce, tt.share)
			if proven != tt.proven || (tt.want == nil) != (err == nil) || !errors.Is(err, tt.want) {
				t.Errorf("proven %v, error %v", proven, err)
			}
			if err == nil && p.Progress != tt.progress {
				t.Errorf("progress %d, want %d", p.Progress, tt.progress)
			}
		})
	}
}

func TestForgedSharesProveNothing(t *testing.T) {
	k, keys := opened(t)
	begun, err := k.StartProof(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := k.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	raw := append([]byte(nil), keys[1].Reveal()[:rawShareBytes]...)
	raw[0] ^= 1
	forged := issue(secret.New(raw), cfg.Keys.Set)
	if _, _, err := k.Prove(t.Context(), begun.Nonce, keys[0].Reveal()); err != nil {
		t.Fatal(err)
	}
	if _, proven, err := k.Prove(t.Context(), begun.Nonce, forged.Reveal()); proven || !errors.Is(err, ErrShare) {
		t.Errorf("proven %v, error %v", proven, err)
	}
	if p, err := k.Proof(t.Context()); err != nil || p.Progress != 0 || !p.Started {
		t.Errorf("after that: %+v %v", p, err)
	}
}

func TestRecoveryKeysProveToo(t *testing.T) {
	k := start(inmem.New(), newKeyfile(t))
	keys := mustInit(t, k, Params{RecoveryShares: 3, RecoveryThreshold: 2}).RecoveryKeys
	if err := k.AutoUnseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	begun, err := k.StartProof(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Prove(t.Context(), begun.Nonce, keys[2].Reveal()); err != nil {
		t.Fatal(err)
	}
	if _, proven, err := k.Prove(t.Context(), begun.Nonce, keys[0].Reveal()); !proven || err != nil {
		t.Errorf("proven %v, error %v", proven, err)
	}
	if _, err := k.StartRekey(t.Context(), RootKey, 1, 1, false); !errors.Is(err, ErrWrongSeal) {
		t.Errorf("rekeying what a seal holds: %v", err)
	}
}

func TestASealedServerTakesPartInNothing(t *testing.T) {
	k, keys := opened(t)
	if _, err := k.StartProof(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.Seal()
	_, errProof := k.StartProof(t.Context())
	_, errRekey := k.StartRekey(t.Context(), RootKey, 1, 1, false)
	_, _, errShare := k.Rekey(t.Context(), RootKey, "", keys[0].Reveal())
	for _, err := range []error{errProof, errRekey, errShare} {
		if !errors.Is(err, logical.ErrSealed) {
			t.Errorf("got %v", err)
		}
	}
	mustUnseal(t, k, keys[0])
	mustUnseal(t, k, keys[1])
	if p, err := k.Proof(t.Context()); err != nil || p.Started {
		t.Errorf("the attempt outlived the sealing: %+v %v", p, err)
	}
}

// mustRekey gives the first two shares and returns the new ones.
func mustRekey(t *testing.T, k *Keeper, keys []secret.Bytes, verify bool) (RekeyStatus, []secret.Bytes) {
	t.Helper()
	begun, err := k.StartRekey(t.Context(), RootKey, 2, 2, verify)
	if err != nil {
		t.Fatal(err)
	}
	if _, issued, err := k.Rekey(t.Context(), RootKey, begun.Nonce, keys[0].Reveal()); err != nil || issued != nil {
		t.Fatalf("after one share: %d keys, %v", len(issued), err)
	}
	s, issued, err := k.Rekey(t.Context(), RootKey, begun.Nonce, keys[1].Reveal())
	if err != nil || len(issued) != 2 {
		t.Fatalf("after two shares: %d keys, %v", len(issued), err)
	}
	return s, issued
}

// opens says whether two shares open the server.
func opens(t *testing.T, k *Keeper, a, b secret.Bytes) bool {
	t.Helper()
	k.Seal()
	for _, share := range []secret.Bytes{a, b} {
		if _, err := k.Unseal(t.Context(), share.Reveal()); err != nil && !errors.Is(err, ErrShare) {
			t.Fatal(err)
		}
	}
	return !mustStatus(t, k).Sealed
}

func TestRekeyReplacesTheShares(t *testing.T) {
	k, keys := opened(t)
	_, issued := mustRekey(t, k, keys, false)
	if opens(t, k, keys[0], keys[1]) {
		t.Error("the old shares still open the server")
	}
	if !opens(t, k, issued[0], issued[1]) {
		t.Error("the new shares do not open the server")
	}
}

func TestUnverifiedSharesDoNotCount(t *testing.T) {
	k, keys := opened(t)
	_, issued := mustRekey(t, k, keys, true)
	if opens(t, k, issued[0], issued[1]) || !opens(t, k, keys[0], keys[1]) {
		t.Error("the new key was in use before it was verified")
	}
}

func TestVerifiedSharesCount(t *testing.T) {
	k, keys := opened(t)
	s, issued := mustRekey(t, k, keys, true)
	if _, _, err := k.VerifyRekey(t.Context(), RootKey, s.VerificationNonce, keys[0].Reveal()); !errors.Is(err, ErrShare) {
		t.Errorf("an old share verifies: %v", err)
	}
	if _, done, err := k.VerifyRekey(t.Context(), RootKey, s.VerificationNonce, issued[1].Reveal()); done || err != nil {
		t.Fatalf("after one: done %v, %v", done, err)
	}
	k.ResetVerification(RootKey)
	again, err := k.RekeyStatus(t.Context(), RootKey)
	if err != nil || again.Verified != 0 || again.VerificationNonce == s.VerificationNonce {
		t.Fatalf("after the reset: %+v %v", again, err)
	}
	for i, share := range issued {
		if _, done, err := k.VerifyRekey(t.Context(), RootKey, again.VerificationNonce, share.Reveal()); err != nil || done != (i == 1) {
			t.Fatalf("share %d: done %v, %v", i, done, err)
		}
	}
	if opens(t, k, keys[0], keys[1]) || !opens(t, k, issued[0], issued[1]) {
		t.Error("the new shares are not the ones that count")
	}
}

// Whatever becomes of the commit, one set of shares opens the server, and it is
// the one that the answer says.
func TestRekeyIsAllOrNothing(t *testing.T) {
	for _, after := range []bool{false, true} {
		disk := &storetest.Faulty{Store: inmem.New(), N: 2, After: after} // the first is Init's
		k := start(disk, nil)
		keys := mustInit(t, k, Params{Shares: 2, Threshold: 2}).Keys
		mustUnseal(t, k, keys[0])
		mustUnseal(t, k, keys[1])
		begun, err := k.StartRekey(t.Context(), RootKey, 2, 2, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := k.Rekey(t.Context(), RootKey, begun.Nonce, keys[0].Reveal()); err != nil {
			t.Fatal(err)
		}
		_, issued, err := k.Rekey(t.Context(), RootKey, begun.Nonce, keys[1].Reveal())
		if (err == nil) != after {
			t.Fatalf("committed %v, error %v", after, err)
		}
		good := keys
		if after {
			good = issued
		}
		if !opens(t, k, good[0], good[1]) {
			t.Errorf("committed %v: the shares that should open do not", after)
		}
	}
}
