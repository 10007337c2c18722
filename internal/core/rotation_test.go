package core_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cofferhq/coffer/internal/core"
	"github.com/cofferhq/coffer/internal/event"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/rotate"
	"github.com/cofferhq/coffer/internal/storage"
)

// rotating runs fn in a bubble with a site whose rotation "db" of kv/app/db has made
// one attempt. body is added to the rotation's settings.
func rotating(t *testing.T, body string, fn func(t *testing.T, s *site, v *village)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v := newVillage()
		s := newSite(t, v.kind())
		defer s.end()
		s.mountKV("2")
		s.must(logical.Write, "kv/data/app/db", `{"data":{"host":"db1"}}`)
		s.must(logical.Write, "sys/coffer/rotation/db",
			`{"target":"kv/app/db","source":"village","schedule":"30m","grace":"1m","deadline":"5m"`+body+`}`)
		s.attempt()
		s.ended(1)
		fn(t, s, v)
	})
}

// attempt has an attempt begin, and waits until it is at rest.
func (s *site) attempt() {
	s.t.Helper()
	s.must(logical.Write, "sys/coffer/rotation/db/rotate", `{}`)
	time.Sleep(2 * time.Second)
}

// rotation is what a read of the rotation answers.
func (s *site) rotation() (data struct {
	Failures  int
	LastError string `json:"last_error"`
	Attempt   *struct {
		ID        string
		Step      rotate.Step
		Version   int
		Consumers rotate.Tally
	}
}) {
	s.t.Helper()
	if err := json.Unmarshal(s.must(logical.Read, "sys/coffer/rotation/db", "").Data, &data); err != nil {
		s.t.Fatal(err)
	}
	return data
}

type ended struct {
	ID                 string
	Number             int
	Published, Retired time.Time
	Version            int
	Consumers          rotate.Tally
	Tested, Old, Error string
}

// ended waits for the end of the n-th attempt, and returns what is known of it.
func (s *site) ended(n int) ended {
	s.t.Helper()
	for range 1000 {
		var data struct{ Attempts []ended }
		if err := json.Unmarshal(s.must(logical.Read, "sys/coffer/rotation/db/attempts", "").Data, &data); err != nil {
			s.t.Fatal(err)
		}
		if len(data.Attempts) > 0 && data.Attempts[0].Number >= n {
			return data.Attempts[0]
		}
		time.Sleep(time.Second)
	}
	s.t.Fatalf("no end: %+v", s.rotation())
	return ended{}
}

// waited wants the second attempt to have awaited its consumers for so long, within
// some looks.
func (s *site) waited(want time.Duration) ended {
	s.t.Helper()
	e := s.ended(2)
	const looks = 15 * time.Second
	if got := e.Retired.Sub(e.Published); got < want || got > want+looks || e.Old != rotate.Dead || e.Tested != rotate.Worked {
		s.t.Errorf("waited %v, want %v: %+v", got, want, e)
	}
	return e
}

// app returns a token that may read the secret and say what it uses.
func (s *site) app(more string) (text, accessor string) {
	s.t.Helper()
	s.must(logical.Write, "sys/policies/acl/app", `{"policy":"path \"kv/data/app/*\" { capabilities = [\"read\"] }"}`)
	a := s.must(logical.Write, "auth/token/create", `{"policies":["app"],"ttl":"4h"`+more+`}`)
	return a.Auth.ClientToken, a.Auth.Accessor
}

func (s *site) reads(token string, header map[string][]string) {
	s.t.Helper()
	call := &core.Call{ID: "read", Op: logical.Read, Path: "kv/data/app/db", Token: token, Now: time.Now().UTC(), Header: header}
	if _, err := s.Handle(s.t.Context(), call); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) says(token, body string) {
	s.t.Helper()
	if _, err := s.do(call{token: token, op: logical.Write, path: "sys/coffer/acknowledge", body: `{"path":"kv/app/db",` + body + `}`}); err != nil {
		s.t.Fatal(err)
	}
}

func TestARotationPublishesToKV(t *testing.T) {
	rotating(t, `,"fields":{"username":"user","password":"password"},"previous_fields":{"password":"old_password"}`, func(t *testing.T, s *site, v *village) {
		first := s.shown(logical.Read, "kv/data/app/db")
		if !strings.Contains(first, `"host":"db1"`) || !strings.Contains(first, `"user":"anna"`) || strings.Contains(first, "old_password") {
			t.Errorf("first: %s", first)
		}
		token, _ := s.app("")
		s.reads(token, nil)
		s.attempt()
		both := s.shown(logical.Read, "kv/data/app/db")
		if !strings.Contains(both, `"user":"bert"`) || !strings.Contains(both, `"old_password":"`+v.users["anna"]+`"`) {
			t.Errorf("while both are valid: %s", both)
		}
		s.waited(5 * time.Minute)
		if after := s.shown(logical.Read, "kv/data/app/db"); strings.Contains(after, "old_password") || !strings.Contains(after, v.users["bert"]) {
			t.Errorf("afterwards: %s", after)
		}
	})
}

// Readers have the new secret if and only if the rotation knows that.
func TestPublishingIsOneCommitWithTheState(t *testing.T) {
	rotating(t, "", func(t *testing.T, s *site, _ *village) {
		rev := s.newest()
		s.attempt()
		e := s.ended(2)
		if got := e.Retired.Sub(e.Published); got > time.Minute {
			t.Errorf("waited %v for nobody", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		published := 0
		for commit, err := range s.Barrier.Watch(ctx, "", rev) {
			if err != nil {
				break
			}
			var data, state, told bool
			for _, op := range commit.Ops {
				data = data || strings.HasPrefix(op.Key, storage.Plain("data")) || strings.Contains(op.Key, s.kvID())
				state = state || strings.HasPrefix(op.Key, storage.Plain("rotation")+storage.Plain("root")+storage.Plain("state"))
				told = told || strings.HasPrefix(op.Key, event.Table())
			}
			if data && !told || told && !state {
				t.Errorf("a commit with the data %v, the state %v, an event %v", data, state, told)
			}
			if data {
				published++
			}
		}
		if published != 1 {
			t.Errorf("published in %d commits", published)
		}
		got := strings.Split(s.events(), "\n")
		for _, want := range []string{
			"kv-v2/data-patch kv/data/app/db ", "coffer/rotation-start sys/ ", "coffer/rotation-publish sys/ ",
			"coffer/rotation-retire sys/ ", "coffer/rotation-end sys/ ",
		} {
			if !slices.Contains(got, want+e.ID) {
				t.Errorf("no event %s%s: %s", want, e.ID, got)
			}
		}
	})
}

func (s *site) newest() storage.Revision {
	s.t.Helper()
	snap, err := s.Barrier.Snapshot(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	defer snap.Close()
	return snap.Revision()
}

func (s *site) kvID() string { return s.Mounts().At("kv/").ID }

// events are those in the outbox: type, path and request.
func (s *site) events() string {
	s.t.Helper()
	var all []string
	err := storage.View(s.t.Context(), s.Barrier, func(tx *storage.Tx) error {
		for e, err := range tx.Scan(s.t.Context(), event.Table(), "") {
			if err != nil {
				return err
			}
			r, err := event.Parse(e)
			if err != nil {
				return err
			}
			all = append(all, r.Type+" "+r.Path+" "+r.RequestID)
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

func TestMountsThatWantCheckAndSetAreWrittenToo(t *testing.T) {
	rotating(t, "", func(t *testing.T, s *site, v *village) {
		s.must(logical.Write, "kv/config", `{"cas_required":true}`)
		s.attempt()
		s.ended(2)
		s.must(logical.Delete, "kv/data/app/db", "")
		s.attempt()
		if e := s.ended(3); e.Version != 4 || e.Old != rotate.Skipped {
			t.Errorf("after the secret was deleted: %+v", e)
		}
		if got := s.shown(logical.Read, "kv/data/app/db"); !strings.Contains(got, v.users["anna"]) {
			t.Error(got)
		}
	})
}

func TestAttemptsAreOnRecord(t *testing.T) {
	rotating(t, "", func(t *testing.T, s *site, v *village) {
		path := filepath.Join(t.TempDir(), "audit.log")
		s.must(logical.Write, "sys/audit/file", `{"type":"file","options":{"file_path":"`+path+`"}}`)
		s.attempt()
		e := s.ended(2)
		s.must(logical.Delete, "sys/audit/file", "")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var types []string
		for line := range strings.Lines(string(text)) {
			if !strings.Contains(line, `"path":"sys/coffer/rotation/db/attempt"`) {
				continue
			}
			var entry struct {
				Type     string
				Request  struct{ ID, Operation string }
				Response struct {
					Data struct{ ID, Dead, Tested string }
				}
			}
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatal(err)
			}
			if entry.Request.ID != e.ID || entry.Request.Operation != "update" {
				t.Errorf("%s", line)
			}
			if d := entry.Response.Data; entry.Type == "response" && (d.ID != e.ID || d.Dead != rotate.Dead || d.Tested != rotate.Worked) {
				t.Errorf("%s", line)
			}
			types = append(types, entry.Type)
		}
		if got := strings.Join(types, " "); got != "request response" {
			t.Errorf("lines: %s", got)
		}
		for _, password := range v.users {
			if strings.Contains(string(text), password) && password != "nobody knows" {
				t.Error("the audit holds a password")
			}
		}
	})
}

func TestMountsWithRotationsStay(t *testing.T) {
	rotating(t, "", func(t *testing.T, s *site, _ *village) {
		token, _ := s.app("")
		s.reads(token, nil)
		s.must(logical.Read, "sys/coffer/consumers/kv/app/db", "")
		_, err := s.do(call{op: logical.Delete, path: "sys/mounts/kv"})
		wantKind(t, err, logical.ErrInvalid)
		if err == nil || !strings.Contains(err.Error(), `rotations write secrets of "kv/": db`) {
			t.Errorf("error %v", err)
		}
		s.must(logical.Write, "sys/remount", `{"from":"kv","to":"moved"}`)
		s.attempt()
		if got := s.shown(logical.Read, "sys/coffer/rotation/db"); !strings.Contains(got, `"target":"moved/app/db"`) {
			t.Error(got)
		}
		s.ended(2)
		s.must(logical.Delete, "sys/coffer/rotation/db", "")
		s.must(logical.Delete, "sys/mounts/moved", "")
		if rows := s.rows(); strings.Contains(rows, "consumer:") || strings.Contains(rows, "rotation:") {
			t.Errorf("left: %s", rows)
		}
	})
}

func TestSealingInTheMiddleOfAnAttempt(t *testing.T) {
	rotating(t, "", func(t *testing.T, s *site, v *village) {
		reached, on := make(chan struct{}), make(chan struct{})
		v.onSet = sync.OnceFunc(func() { close(reached); <-on })
		s.must(logical.Write, "sys/coffer/rotation/db/rotate", `{}`)
		<-reached
		sealed := make(chan error, 1)
		go func() { sealed <- s.Close() }()
		synctest.Wait()
		close(on)
		if err := <-sealed; err != nil {
			t.Fatal(err)
		}
		s.open()
		if e := s.ended(2); e.Old != rotate.Dead || e.Tested != rotate.Worked {
			t.Errorf("%+v", e)
		}
	})
}

func TestWhoMayRotate(t *testing.T) {
	rotating(t, "", func(t *testing.T, s *site, _ *village) {
		const rotations = `path \"sys/coffer/rotation/*\" { capabilities = [\"create\",\"read\",\"update\"] } `
		for _, tt := range []struct {
			name, policy, path, body string
			want                     error
		}{
			{"one who may do nothing with the secret", "", "new", `{"target":"kv/app/web","source":"village","schedule":"1h"}`, logical.ErrDenied},
			{"one who may only update it", `path \"kv/data/*\" { capabilities = [\"update\"] }`, "new",
				`{"target":"kv/app/web","source":"village","schedule":"1h"}`, logical.ErrDenied},
			{"one who may only read it", `path \"kv/data/*\" { capabilities = [\"read\"] }`, "new",
				`{"target":"kv/app/web","source":"village","schedule":"1h"}`, logical.ErrDenied},
			{"another source for a secret of others", "", "db", `{"config":{}}`, logical.ErrDenied},
			{"another target for a rotation of others", `path \"kv/data/app/web\" { capabilities = [\"read\",\"update\"] }`, "db",
				`{"schedule":"2h"}`, logical.ErrDenied},
			{"one who may both", `path \"kv/data/app/web\" { capabilities = [\"read\",\"update\"] }`, "new",
				`{"target":"kv/app/web","source":"village","schedule":"1h"}`, nil},
		} {
			s.must(logical.Write, "sys/policies/acl/rotator", `{"policy":"`+rotations+tt.policy+`"}`)
			token := s.must(logical.Write, "auth/token/create", `{"policies":["rotator"],"no_default_policy":true}`).Auth.ClientToken
			_, err := s.do(call{token: token, op: logical.Write, path: "sys/coffer/rotation/" + tt.path, body: tt.body})
			if (err == nil) != (tt.want == nil) {
				t.Errorf("%s: %v", tt.name, err)
			}
			wantKind(t, err, tt.want)
		}
	})
}

// Who rotates is told of each attempt.
func TestRotatedIsToldOfEachAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		s := newSite(t, newVillage().kind())
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s.rotated = func(name string, e *rotate.Evidence) {
			told = append(told, fmt.Sprint(name, " ", e.Number, " ", e.Tested))
		}
		s.Core = s.newCore()
		s.open()
		defer s.end()
		s.mountKV("2")
		s.must(logical.Write, "sys/coffer/rotation/db", `{"target":"kv/app/db","source":"village","schedule":"30m"}`)
		s.attempt()
		s.ended(1)
		if got := strings.Join(told, ", "); got != "db 1 worked" {
			t.Error(got)
		}
	})
}
