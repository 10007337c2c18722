package rotationsoak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

const (
	longestLife = 1500 * time.Millisecond // of a server that is open
	longestAim  = 60 * time.Millisecond   // from when an attempt was seen to a kill
	// settled is within which a secret holds a login that works, after a restart.
	settled = 20 * time.Second
)

// The server is killed again and again while it rotates every second, with both
// strategies. Each time the secret's login works soon after the restart; in the end
// one login works of all that there have ever been.
func TestACrashLeavesOneLogin(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("to repeat the moments: -soak.seed=%d -soak.kills=%d", *seed, *kills)
	dice := rand.New(rand.NewPCG(*seed, 0))
	h := open(t)
	once := map[string]any{"schedule": "1s", "grace": "1s", "deadline": "1s"}
	rotations := []rotation{
		{name: "in-turn", users: []string{"crash_blue", "crash_green"}, strategy: "alternate", more: once},
		{name: "in-place", users: []string{"crash_only"}, strategy: "replace", more: once},
	}
	for _, r := range rotations {
		h.furnish(r)
		h.create(r)
	}
	users := h.users()
	var longest time.Duration
	cut := map[string]int{} // step → kills in it
	for range *kills {
		if dice.IntN(2) == 0 {
			h.killAfter(time.Duration(dice.Int64N(int64(longestLife))))
		} else {
			h.killIn(rotations[dice.IntN(len(rotations))], time.Duration(dice.Int64N(int64(longestAim))))
		}
		killed := time.Now()
		h.root = h.server.Start().Open()
		opened := time.Now()
		h.countCut(rotations, killed, cut)
		h.awaitLogins(rotations)
		longest = max(longest, time.Since(opened))
	}
	for _, r := range rotations {
		last := h.finish(r)
		h.checkLogins(r)
		n := h.checkEvidence(r, last)
		fmt.Fprintf(os.Stdout, "%s: %d rotations, %d kills\n", r.strategy, n, *kills)
	}
	fmt.Fprintf(os.Stdout, "kills in the middle of an attempt, by its step: %v; logins worked within %v of each restart\n", cut, short(longest))
	if now := h.users(); !slices.Equal(now, users) {
		t.Errorf("users were %q, and are %q", users, now)
	}
}

// killAfter kills the server after a while.
func (h *house) killAfter(d time.Duration) {
	h.t.Helper()
	p := h.server.Process()
	select {
	case <-p.Exited(): // by itself, which Kill tells
	case <-time.After(d):
	}
	p.Kill()
}

// killIn kills the server when an attempt has been under way for a while.
func (h *house) killIn(r rotation, d time.Duration) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	for {
		var p progress
		if err := h.read(ctx, r.plan(), &p); err != nil {
			h.t.Fatalf("%v\n%s", err, h.server.Process().LastWords())
		}
		if p.Attempt != nil {
			h.killAfter(d)
			return
		}
	}
}

// countCut counts the attempts, by their steps, that a kill has cut.
func (h *house) countCut(all []rotation, killed time.Time, cut map[string]int) {
	h.t.Helper()
	for _, r := range all {
		var p progress
		h.mustRead(r.plan(), &p)
		if p.Attempt != nil && p.Attempt.Began.Before(killed) {
			cut[p.Attempt.Step]++
		}
	}
}

// users are the roles of the PostgreSQL that may log in.
func (h *house) users() (names []string) {
	h.t.Helper()
	rows, err := h.super.QueryContext(h.t.Context(), "SELECT rolname FROM pg_roles WHERE rolcanlogin ORDER BY 1")
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			h.t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		h.t.Fatal(err)
	}
	return names
}

// awaitLogins returns when each secret has been seen to hold a login that works. A
// login that dies between its reading and its use is read anew.
func (h *house) awaitLogins(all []rotation) {
	h.t.Helper()
	for _, r := range all {
		ok := h.within(settled, func(ctx context.Context) bool {
			var found struct{ Data secret }
			err := h.read(ctx, r.data(), &found)
			return err == nil && h.loginWorks(ctx, found.Data.Username, found.Data.Password)
		})
		if !ok {
			h.t.Fatalf("%s: the secret's login does not work after a restart; seed %d\n%s", r.strategy, *seed, h.server.Process().LastWords())
		}
	}
}

// checkLogins tries each login that was ever published: the newest works, and no
// other.
func (h *house) checkLogins(r rotation) {
	h.t.Helper()
	var newest struct {
		Data     secret
		Metadata struct{ Version int }
	}
	h.mustRead(r.data(), &newest)
	known := map[secret]int{}
	for v := 1; v <= newest.Metadata.Version; v++ {
		var one struct{ Data secret }
		if err := h.readQuery(h.t.Context(), r.data(), url.Values{"version": {strconv.Itoa(v)}}, &one); err != nil {
			h.t.Fatal(err)
		}
		known[one.Data] = v
	}
	for one, version := range known {
		if works, want := h.loginWorks(h.t.Context(), one.Username, one.Password), one == newest.Data; works != want {
			h.t.Errorf("%s: the login of version %d of %d works: %v", r.strategy, version, newest.Metadata.Version, works)
		}
	}
	if len(known) != newest.Metadata.Version {
		h.t.Errorf("%s: %d versions have %d different logins", r.strategy, newest.Metadata.Version, len(known))
	}
}

// checkEvidence checks that each attempt has left evidence, and returns how many
// there were.
func (h *house) checkEvidence(r rotation, last progress) int {
	h.t.Helper()
	all, err := h.evidence(h.t.Context(), r)
	if err != nil {
		h.t.Fatal(err)
	}
	if len(all) == 0 || all[0].Number != last.Attempts {
		h.t.Fatalf("%s: %d attempts, and evidence of %d", r.strategy, last.Attempts, len(all))
	}
	for i, a := range all {
		if a.Number != last.Attempts-i {
			h.t.Errorf("%s: attempt %d is followed by %d", r.strategy, a.Number, last.Attempts-i+1)
		}
		if a.Tested != "worked" || a.Old != "dead" || a.Error != "" {
			h.t.Errorf("%s: attempt %d: the new one %s, the old one is %s; %s", r.strategy, a.Number, a.Tested, a.Old, a.Error)
		}
	}
	return last.Attempts
}
