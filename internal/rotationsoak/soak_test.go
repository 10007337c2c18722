// Package rotationsoak proves the promise of rotation with the real program, a real
// PostgreSQL and applications under constant load: credentials rotate every few
// seconds, the old ones die, and not one request fails. And that whatever moment a
// crash comes at, a rotation goes on, and leaves one valid login behind.
//
// It is a folder of tests only. Start reading at [TestNotOneRequestFails] and
// [TestACrashLeavesOneLogin].
package rotationsoak

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/cofferhq/coffer/internal/parts"
	"github.com/cofferhq/coffer/internal/servertest"
	"github.com/cofferhq/coffer/secrets/sqlconn"
)

var (
	soakTime = flag.Duration("soak.time", 12*time.Second, "how long applications are under load while their credentials rotate")
	soakSVG  = flag.String("soak.svg", "", "draw the load, and what failed of it, into this file")
	kills    = flag.Int("soak.kills", 10, "how often the server is killed while it rotates")
	seed     = flag.Uint64("soak.seed", 0, "seed of the moments of kills; 0: a new one")
)

func TestMain(m *testing.M) {
	if isApplication() {
		os.Exit(serveApplication())
	}
	os.Exit(parts.Main(withProgram{m}))
}

// withProgram runs tests that start the program.
type withProgram struct{ m *testing.M }

func (p withProgram) Run() int { return servertest.Main(p.m) }

const (
	every    = time.Second      // between rotations
	deadline = 15 * time.Second // for applications to move
	// slowest is the least number of rotations, as the time each may take: on a
	// busy machine, applications need some to start.
	slowest = 6 * time.Second
)

// Applications ask their databases all the time while the credentials rotate: two
// users in turn, for an application with the SDK and one that is started anew by
// coffer run; and one user whose password is replaced, for one that tries refused
// logins again, and one that does not.
func TestNotOneRequestFails(t *testing.T) {
	h := open(t)
	r := rotation{name: "app", users: []string{"soak_blue", "soak_green"}, strategy: "alternate", more: map[string]any{
		"schedule": every.String(), "grace": deadline.String(), "deadline": deadline.String(),
	}}
	h.furnish(r)
	h.createStatic("soak_static")
	h.write("sys/auth/approle", map[string]any{"type": "approle"})
	h.write("sys/policies/acl/application", map[string]any{"policy": mayReadAndAcknowledge})
	never := sqlconn.WithRefused(func(error) bool { return false })
	apps := []*application{
		h.withSDK("alternate, SDK", "sdk", r.target()),
		h.withRun("alternate, coffer run", "run", r.target()),
		h.withSDK("replace, SDK", "static", "database/static-creds/app"),
		h.withSDK("replace, SDK that tries once", "once", "database/static-creds/app", never),
	}
	apps[0].strict, apps[1].strict = true, true
	for _, a := range apps {
		t.Cleanup(func() {
			if err := a.close(); err != nil {
				t.Errorf("%s ends: %v", a.name, err)
			}
		})
		if first := ask(newHTTP(), a.url); first.failure != "" {
			t.Fatalf("%s does not start: %s", a.name, first.failure)
		}
	}
	h.create(r) // now that all who are to move are known
	w := newWatch(h, r, "database/static-roles/app")
	began := time.Now()
	h.use(apps, w)
	ended := time.Now()
	for _, a := range apps {
		a.check(t, w)
	}
	checkAttempts(t, w.ended())
	tell(apps, w, ended.Sub(began))
	if *soakSVG != "" {
		if err := os.WriteFile(*soakSVG, picture(apps, w, began, ended), 0o644); err != nil {
			t.Error(err)
		}
	}
}

const mayReadAndAcknowledge = `
path "secret/data/app"            { capabilities = ["read"] }
path "database/static-creds/app"  { capabilities = ["read"] }
path "sys/coffer/acknowledge"     { capabilities = ["update"] }`

// createStatic makes a user, and a static role of it.
func (h *house) createStatic(user string) {
	h.t.Helper()
	h.sql("CREATE ROLE %s LOGIN PASSWORD '%s'", user, firstPassword)
	h.write("sys/mounts/database", map[string]any{"type": "database"})
	h.write("database/config/db", map[string]any{
		"plugin_name": plugin, "connection_url": h.connectionURL(), "username": h.pg.User, "password": h.pg.Password, "allowed_roles": "*",
	})
	h.write("database/static-roles/app", map[string]any{"db_name": "db", "username": user, "rotation_period": "5s"})
}

// use puts the applications under load, until the last rotation has ended.
func (h *house) use(apps []*application, w *watch) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	for _, a := range apps {
		all.Go(func() { a.load.run(ctx, a.url) })
	}
	looking, stop := context.WithCancel(ctx)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		w.run(looking)
	}()
	select {
	case <-time.After(*soakTime):
	case <-watching: // it has failed
	}
	h.finish(w.rotation)
	stop()
	<-watching
	if err := w.collect(ctx); err != nil {
		h.t.Fatal(err)
	}
}

// failuresOfOne is how many requests may fail for each time that a password is
// replaced at once: those that come between its change and the application's word
// of it, a fraction of a second.
const failuresOfOne = int(2 * time.Second / pace)

func (a *application) check(t *testing.T, w *watch) {
	t.Helper()
	failed := a.load.failures()
	allowed := 0
	if !a.strict {
		allowed = failuresOfOne * len(w.replaced)
	}
	if len(failed) > allowed {
		t.Errorf("%s: %d of %d requests failed:\n%s", a.name, len(failed), len(a.load.all), strings.Join(failed[:min(5, len(failed))], "\n"))
	}
	if least := int(*soakTime / pace / 2); len(a.load.all) < least {
		t.Errorf("%s: %d requests, fewer than %d", a.name, len(a.load.all), least)
	}
}

// checkAttempts checks what the server says of its rotations itself.
func checkAttempts(t *testing.T, all []attempt) {
	t.Helper()
	if least := int(*soakTime / slowest); len(all) < least {
		t.Errorf("%d rotations, fewer than %d", len(all), least)
	}
	for i, a := range all {
		if a.Number != i+1 {
			t.Fatalf("attempt %d is followed by %d", i, a.Number)
		}
		if a.Tested != "worked" || a.Old != "dead" || a.Error != "" {
			t.Errorf("attempt %d: the new one %s, the old one is %s; %s", a.Number, a.Tested, a.Old, a.Error)
		}
		if c := a.Consumers; c.Moved != 2 || c.Behind > 0 || c.Unknown > 0 {
			t.Errorf("attempt %d: consumers %+v", a.Number, c)
		}
		if lived := a.Retired.Sub(a.Published); lived >= deadline {
			t.Errorf("attempt %d: the old one lived for %v", a.Number, lived)
		}
	}
}

// tell prints what was seen: a row for each application.
func tell(apps []*application, w *watch, took time.Duration) {
	fmt.Printf("%v of load; times are median/longest, of requests p50/p99/longest\n", took.Round(time.Second))
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "application\trotations\trequests\tfailures\tlatency\tnew one in use after\told one lived for\t")
	for _, a := range apps {
		took := a.load.latencies()
		rotations, moved, lived := max(len(w.replaced)-1, 0), "-", "-" // but for the one before
		if a.strict {
			rotations, moved, lived = len(w.attempts), median(w.moving(a.role)), median(w.living())
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s / %s / %s\t%s\t%s\t\n", a.name, rotations, len(took), len(a.load.failures()),
			short(part(took, .5)), short(part(took, .99)), short(part(took, 1)), moved, lived)
	}
	table.Flush()
}

func median(sorted []time.Duration) string {
	return short(part(sorted, .5)) + " / " + short(part(sorted, 1))
}

func short(d time.Duration) string {
	if d < 10*time.Millisecond {
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}
