package token_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/token"
)

func TestATokenIsFoundByTextAccessorAndLease(t *testing.T) {
	w := newWorld(t)
	made := &token.Token{
		Path: "auth/approle/login/", MountID: "m", Policies: []string{"dev"}, Display: "d", Meta: map[string]string{"k": "v"},
		EntityID: "e", Role: "r", TTL: time.Minute, MaxTTL: time.Hour, ExplicitMax: 2 * time.Hour, NumUses: 3,
		Orphan: true, Renewable: true, BoundCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, State: []byte(`{"a":1}`),
	}
	text := w.create(made, "")
	found, err := w.Lookup(t.Context(), ns, text, w.now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made, found, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(made.ID, text) || made.Accessor == "" {
		t.Errorf("id %q, accessor %q", made.ID, made.Accessor)
	}
	if by, err := w.ByAccessor(t.Context(), ns, made.Accessor, w.now); err != nil || by.ID != made.ID {
		t.Errorf("by accessor: %v", err)
	}
	if want := "auth/approle/login/h" + made.ID; made.LeaseID() != want {
		t.Errorf("lease %q, want %q", made.LeaseID(), want)
	}
	if by, err := w.ByLease(t.Context(), ns, made.LeaseID(), w.now); err != nil || by.ID != made.ID {
		t.Errorf("by lease: %v", err)
	}
}

func TestWhatIsNotALivingTokenIsUnknown(t *testing.T) {
	w := newWorld(t)
	live := &token.Token{TTL: time.Minute}
	text := w.create(live, "")
	revoked := &token.Token{}
	revokedText := w.create(revoked, "")
	if err := w.Revoke(t.Context(), ns, revoked.ID, w.now); err != nil {
		t.Fatal(err)
	}
	lookup := func(text string, now time.Time) error {
		_, err := w.Lookup(t.Context(), ns, text, now)
		return err
	}
	byLease := func(id string) error { _, err := w.ByLease(t.Context(), ns, id, w.now); return err }
	byAccessor := func(acc string, now time.Time) error {
		_, err := w.ByAccessor(t.Context(), ns, acc, now)
		return err
	}
	tests := []struct {
		name string
		err  error
		want error
	}{
		{"a living token", lookup(text, w.now), nil},
		{"the last moment of its life", lookup(text, w.now.Add(time.Minute-1)), nil},
		{"the first moment after", lookup(text, w.now.Add(time.Minute)), token.ErrUnknown},
		{"its accessor after", byAccessor(live.Accessor, w.now.Add(time.Minute)), token.ErrUnknown},
		{"nothing", lookup("", w.now), token.ErrUnknown},
		{"a mistyped token", lookup(text[:len(text)-1]+"_", w.now), token.ErrUnknown},
		{"a token with more behind it", lookup(text+"x", w.now), token.ErrUnknown},
		{"an id instead of a token", lookup(live.ID, w.now), token.ErrUnknown},
		{"an accessor instead of a token", lookup(live.Accessor, w.now), token.ErrUnknown},
		{"a revoked token", lookup(revokedText, w.now), token.ErrUnknown},
		{"the accessor of a revoked token", byAccessor(revoked.Accessor, w.now), token.ErrUnknown},
		{"a lease below another path", byLease("auth/other/h" + live.ID), token.ErrUnknown},
		{"a lease that is no token's", byLease("auth/token/create/" + live.ID), token.ErrUnknown},
		{"another namespace", func() error { _, err := w.Lookup(t.Context(), "other", text, w.now); return err }(), token.ErrUnknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if !errors.Is(test.err, test.want) {
				t.Errorf("%v, want %v", test.err, test.want)
			}
		})
	}
}

func TestTextsThatOperatorsChoose(t *testing.T) {
	w := newWorld(t)
	own := w.create(&token.Token{}, "")
	tests := []struct {
		name, text string
		ok         bool
	}{
		{"a word", "root", true},
		{"the same word again", "root", false},
		{"a token of Vault's form", "hvs.CAESIJ", true},
		{"the beginning of a service token", "cfs.x", false},
		{"the beginning of a batch token", "cfb.x", false},
		{"the beginning of a recovery token", "cfr.x", false},
		{"a token that is there", own, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tok := &token.Token{}
			_, err := w.tryCreate(tok, test.text)
			if (err == nil) != test.ok || err != nil && !errors.Is(err, logical.ErrInvalid) {
				t.Fatalf("%v", err)
			}
			if err != nil {
				return
			}
			if found, err := w.Lookup(t.Context(), ns, test.text, w.now); err != nil || found.ID != tok.ID {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("a word whose token was revoked", func(t *testing.T) {
		found, err := w.Lookup(t.Context(), ns, "root", w.now)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Revoke(t.Context(), ns, found.ID, w.now); err != nil {
			t.Fatal(err)
		}
		w.create(&token.Token{}, "root")
	})
}

func TestADeadTokenGetsNoChildren(t *testing.T) {
	w := newWorld(t)
	spent := &token.Token{NumUses: 1}
	w.create(spent, "")
	if _, err := w.Use(t.Context(), spent, w.now); err != nil {
		t.Fatal(err)
	}
	old := w.child("")
	tests := []struct {
		name, parent string
		now          time.Time
	}{
		{"an unknown one", "nobody", w.now},
		{"one that is used up", spent.ID, w.now},
		{"one that has expired", old, w.now.Add(2 * time.Hour)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tok := &token.Token{Parent: test.parent}
			tok.Grant(test.now, limits)
			if _, err := w.tryCreate(tok, ""); !errors.Is(err, token.ErrUnknown) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestATokenThatCarriesTooMuchIsRefused(t *testing.T) {
	w := newWorld(t)
	tok := &token.Token{Meta: map[string]string{"k": strings.Repeat("x", storage.MaxCommitBytes/2)}}
	if _, err := w.tryCreate(tok, ""); !errors.Is(err, logical.ErrTooLarge) {
		t.Errorf("%v", err)
	}
}

func TestFewUsesAreExactlyAsMany(t *testing.T) {
	w := newWorld(t)
	const uses, callers = 7, 24
	tok := &token.Token{NumUses: uses}
	text := w.create(tok, "")
	var (
		all  sync.WaitGroup
		won  atomic.Int32
		last atomic.Int32
	)
	for range callers {
		all.Go(func() {
			switch left, err := w.Use(t.Context(), tok, w.now); {
			case err == nil:
				won.Add(1)
				if left == 0 {
					last.Add(1)
				}
			case !errors.Is(err, token.ErrUnknown):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != uses || last.Load() != 1 {
		t.Errorf("%d uses, %d of them the last; want %d and 1", won.Load(), last.Load(), uses)
	}
	if _, err := w.Lookup(t.Context(), ns, text, w.now); !errors.Is(err, token.ErrUnknown) {
		t.Errorf("used up: %v", err)
	}
	if self, err := w.Self(t.Context(), ns, text, w.now); err != nil || self.NumUses != 0 {
		t.Errorf("the caller of the last use can't see itself: %v", err)
	}
}

func TestUseOfATokenWithoutLimitIsNone(t *testing.T) {
	w := newWorld(t)
	tok := &token.Token{}
	w.create(tok, "")
	if _, err := w.Use(t.Context(), tok, w.now); !errors.Is(err, token.ErrUnknown) {
		t.Errorf("%v", err)
	}
}

// A renewal that was under way must not bring back what others have changed.
func TestARenewalChangesNothingElse(t *testing.T) {
	w := newWorld(t)
	parent := w.child("")
	stale := &token.Token{Parent: parent, NumUses: 3, Renewable: true}
	w.create(stale, "")
	if _, err := w.Use(t.Context(), stale, w.now); err != nil {
		t.Fatal(err)
	}
	if err := w.RevokeOrphan(t.Context(), ns, parent, w.now); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Minute)
	if _, err := stale.Renew(w.now, 2*time.Hour, limits); err != nil {
		t.Fatal(err)
	}
	save := func() error {
		_, err := storage.Update(t.Context(), w.under, func(tx *storage.Tx) error { return w.Save(t.Context(), tx, stale) })
		return err
	}
	if err := save(); err != nil {
		t.Fatal(err)
	}
	now, err := w.ByID(t.Context(), ns, stale.ID, w.now)
	if err != nil {
		t.Fatal(err)
	}
	if now.NumUses != 2 || now.Parent != "" || !now.Orphan {
		t.Errorf("%d uses, parent %q", now.NumUses, now.Parent)
	}
	if !now.Expires.Equal(w.now.Add(2*time.Hour)) || !now.LastRenewal.Equal(w.now) {
		t.Errorf("expires %s, renewed %s", now.Expires, now.LastRenewal)
	}
	if n := rows(t, w.under)["due"]; n != 1 {
		t.Errorf("%d items are due, want 1", n)
	}
	if err := w.Revoke(t.Context(), ns, stale.ID, w.now); err != nil {
		t.Fatal(err)
	}
	if err := save(); !errors.Is(err, token.ErrUnknown) {
		t.Errorf("renewal of a revoked token: %v", err)
	}
}

func TestWhatARequestLeavesHangsOnALivingToken(t *testing.T) {
	w := newWorld(t)
	attach := func(tok *token.Token) (holder string, err error) {
		_, err = storage.Update(t.Context(), w.under, func(tx *storage.Tx) error {
			tx.Put(storage.Plain("something"), nil)
			holder, err = w.Attach(t.Context(), tx, tok)
			return err
		})
		return holder, err
	}
	service, spent := &token.Token{}, &token.Token{NumUses: 1}
	w.create(service, "")
	w.create(spent, "")
	if _, err := w.Use(t.Context(), spent, w.now); err != nil {
		t.Fatal(err)
	}
	batch := &token.Token{Type: logical.TokenBatch, Parent: service.ID}
	orphan := &token.Token{Type: logical.TokenBatch}
	w.create(batch, "")
	w.create(orphan, "")
	gone := &token.Token{}
	w.create(gone, "")
	if err := w.Revoke(t.Context(), ns, gone.ID, w.now); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		tok    *token.Token
		holder string
		want   error
	}{
		{"a service token holds itself", service, service.ID, nil},
		{"one that this request has used up does too", spent, spent.ID, nil},
		{"a batch token's parent holds", batch, service.ID, nil},
		{"an orphaned batch token holds nothing", orphan, "", nil},
		{"a revoked token", gone, "", token.ErrUnknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if holder, err := attach(test.tok); holder != test.holder || !errors.Is(err, test.want) {
				t.Errorf("%q, %v", holder, err)
			}
		})
	}
	t.Run("one that is being revoked", func(t *testing.T) {
		w.OnRevoke(func(context.Context, *token.Token) error {
			if _, err := attach(service); !errors.Is(err, token.ErrUnknown) {
				t.Errorf("%v", err)
			}
			return nil
		})
		if err := w.Revoke(t.Context(), ns, service.ID, w.now); err != nil {
			t.Fatal(err)
		}
	})
}

func TestEachTellsOfLivingTokensOnly(t *testing.T) {
	w := newWorld(t)
	short := &token.Token{TTL: time.Minute}
	w.create(short, "")
	long := w.child("")
	dead := w.child("")
	if err := w.Revoke(t.Context(), ns, dead, w.now); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Minute)
	var ids []string
	if err := w.Each(t.Context(), ns, w.now, func(t *token.Token) error { ids = append(ids, t.ID); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(ids) != 1 || ids[0] != long {
		t.Errorf("%q, want only %q", ids, long)
	}
	stop := errors.New("stop")
	if err := w.Each(t.Context(), ns, w.now, func(*token.Token) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

// What version 1 has written must be read for ever.
func TestTheFormatOfRecordsStays(t *testing.T) {
	const v1 = `{"v":1,"acc":"A","par":"P","typ":"service","path":"auth/x/login","mnt":"M","pol":["default"],"dn":"D",` +
		`"at":"2026-05-01T12:00:00Z","exp":"2026-05-01T13:00:00Z","ttl":3600000000000,"orp":true,"of later versions":{}}`
	w := newWorld(t)
	write := func(record string) {
		key := storage.Plain("token") + storage.Plain(ns) + storage.Plain("ID")
		if _, err := w.under.Apply(t.Context(), nil, []storage.Op{storage.Put(key, []byte(record))}); err != nil {
			t.Fatal(err)
		}
	}
	write(v1)
	got, err := w.ByID(t.Context(), ns, "ID", w.now)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	want := &token.Token{
		ID: "ID", Namespace: ns, Accessor: "A", Parent: "P", Type: logical.TokenService, Path: "auth/x/login",
		MountID: "M", Policies: []string{"default"}, Display: "D", Created: at, Expires: at.Add(time.Hour), TTL: time.Hour, Orphan: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, record := range []string{strings.Replace(v1, `"v":1`, `"v":2`, 1), `{`} {
		write(record)
		if _, err := w.ByID(t.Context(), ns, "ID", w.now); err == nil || errors.Is(err, token.ErrUnknown) {
			t.Errorf("%.10s…: %v", record, err)
		}
	}
}
