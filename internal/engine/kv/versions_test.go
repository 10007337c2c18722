package kv

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

func (s *server) putMany(path string, n int) {
	s.T.Helper()
	for i := range n {
		s.ok(logical.Write, "data/"+path, `{"data":{"n":`+strconv.Itoa(i+1)+`}}`)
	}
}

// kept returns what the metadata tells of the versions.
func (s *server) kept(path string) (current, oldest, n int) {
	s.T.Helper()
	var m struct {
		Current  int                        `json:"current_version"`
		Oldest   int                        `json:"oldest_version"`
		Versions map[string]json.RawMessage `json:"versions"`
	}
	if err := json.Unmarshal([]byte(s.ok(logical.Read, "metadata/"+path, "")), &m); err != nil {
		s.T.Fatal(err)
	}
	return m.Current, m.Oldest, len(m.Versions)
}

func TestTheOldestVersionsAreDropped(t *testing.T) {
	for _, c := range []struct {
		name           string
		mount, secret  int
		writes         int
		oldest, number int
	}{
		{"not below ten", 0, 0, 10, 0, 10},
		{"beyond ten", 0, 0, 13, 4, 10},
		{"beyond what the mount says", 3, 0, 5, 3, 3},
		{"beyond what the secret says", 3, 5, 8, 4, 5},
		{"also if the secret says less than the mount", 5, 1, 3, 3, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, "2")
			s.T = t
			s.ok(logical.Write, "config", fmt.Sprintf(`{"max_versions":%d}`, c.mount))
			s.ok(logical.Write, "metadata/a", fmt.Sprintf(`{"max_versions":%d}`, c.secret))
			s.putMany("a", c.writes)
			current, oldest, n := s.kept("a")
			if current != c.writes || oldest != c.oldest || n != c.number || s.rows("version") != n {
				t.Errorf("current %d, oldest %d, %d versions, %d rows", current, oldest, n, s.rows("version"))
			}
			if c.oldest > 0 {
				s.script([]step{{op: logical.Read, path: fmt.Sprint("data/a?version=", c.oldest-1), err: logical.ErrNotFound}})
			}
			s.ok(logical.Read, fmt.Sprint("data/a?version=", max(1, c.oldest)), "")
		})
	}
}

func TestALimitActsAtTheNextWrite(t *testing.T) {
	s := serve(t, "2")
	s.putMany("a", 6)
	s.ok(logical.Write, "metadata/a", `{"max_versions":2}`)
	if _, oldest, n := s.kept("a"); oldest != 0 || n != 6 {
		t.Errorf("at once: oldest %d, %d versions", oldest, n)
	}
	s.putMany("a", 1)
	if _, oldest, n := s.kept("a"); oldest != 6 || n != 2 {
		t.Errorf("lowered: oldest %d, %d versions", oldest, n)
	}
	s.ok(logical.Write, "metadata/a", `{"max_versions":4}`)
	s.putMany("a", 3)
	if _, oldest, n := s.kept("a"); oldest != 7 || n != 4 {
		t.Errorf("raised: oldest %d, %d versions", oldest, n)
	}
}

// What does not fit one commit is out of reach at once, and gone after some
// more changes of anything on the mount.
func TestMoreVersionsCanGoThanFitACommit(t *testing.T) {
	const many = 500
	everySecond := func() string {
		var b strings.Builder
		for n := 2; n < many; n += 2 {
			fmt.Fprintf(&b, ",%d", n)
		}
		return b.String()[1:]
	}
	for _, c := range []struct {
		name string
		step step
		left int // rows of versions that stay
		gone string
	}{
		{"when the secret is deleted", step{op: logical.Delete, path: "metadata/a"}, 0, "data/a"},
		{"when the limit is lowered", step{op: logical.Write, path: "data/a", body: `{"data":{}}`}, 3, "data/a?version=400"},
		{"when many are destroyed", step{op: logical.Write, path: "destroy/a", body: `{"versions":"` + everySecond() + `"}`}, many/2 + 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, "2")
			s.T = t
			s.ok(logical.Write, "metadata/a", `{"max_versions":1000}`)
			s.putMany("a", many)
			if c.left == 3 {
				s.ok(logical.Write, "metadata/a", `{"max_versions":3}`)
			}
			s.ok(c.step.op, c.step.path, c.step.body)
			if c.gone != "" {
				s.script([]step{{op: logical.Read, path: c.gone, err: logical.ErrNotFound}})
			}
			if rows := s.rows("version"); rows <= c.left || s.rows("trash") != 1 {
				t.Fatalf("%d rows of versions, %d of trash: the test tests nothing", rows, s.rows("trash"))
			}
			if said := s.Work(); len(said) != 1 || said[0] != nil {
				t.Fatal(said)
			}
			if rows := s.rows("version"); rows != c.left || s.rows("trash") != 0 {
				t.Errorf("%d rows of versions, want %d; %d of trash", rows, c.left, s.rows("trash"))
			}
		})
	}
}

func TestTheTrashDoesNotTouchASecretOfTheSamePath(t *testing.T) {
	s := serve(t, "2")
	s.ok(logical.Write, "config", `{"max_versions":1000}`)
	s.putMany("a", 300)
	s.ok(logical.Delete, "metadata/a", "")
	s.putMany("a", 20)
	if said := s.Work(); len(said) != 1 || said[0] != nil {
		t.Fatal(said)
	}
	if rows := s.rows("version"); rows != 20 || s.rows("trash") != 0 {
		t.Errorf("%d rows of versions, %d of trash", rows, s.rows("trash"))
	}
	for n := 1; n <= 20; n++ {
		s.ok(logical.Read, fmt.Sprint("data/a?version=", n), "")
	}
}

func TestASecretCannotHaveVersionsWithoutEnd(t *testing.T) {
	s := serve(t, "2")
	s.ok(logical.Write, "metadata/a", `{"max_versions":100000}`)
	s.Change(func(p storage.Part) error {
		full, err := get(t.Context(), p, "a")
		if err != nil {
			return err
		}
		full.Current, full.Versions = maxVersionList, make([]version, maxVersionList)
		for i := range full.Versions {
			full.Versions[i] = version{Created: start.UnixNano(), Deleted: start.UnixNano()}
		}
		return full.save(p, "a", start)
	})
	if _, err := s.do(logical.Write, "data/a", `{"data":{}}`); !errors.Is(err, logical.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
	s.ok(logical.Write, "metadata/a", `{"max_versions":2}`)
	s.ok(logical.Write, "data/a", `{"data":{"x":"`+strings.Repeat("x", 1<<20)+`"}}`)
	if _, oldest, n := s.kept("a"); oldest != maxVersionList || n != 2 {
		t.Errorf("oldest %d, %d versions", oldest, n)
	}
}

func TestVersionsAreDeletedWhenTheirTimeHasCome(t *testing.T) {
	for _, c := range []struct {
		name          string
		mount, secret string
		after         time.Duration // 0: never
	}{
		{"never, unless someone says so", "0s", "0s", 0},
		{"as the mount says", "1h", "0s", time.Hour},
		{"as the secret says", "0s", "3h25m19s", 3*time.Hour + 25*time.Minute + 19*time.Second},
		{"as the secret says, if that is sooner", "1h", "10m", 10 * time.Minute},
		{"as the mount says, if that is sooner", "1h", "2h", time.Hour},
		{"never, if the secret says so", "1h", "-1s", 0},
		{"as the secret says, if the mount says never", "-1s", "2h", 2 * time.Hour},
		{"in seconds", "0s", "90", 90 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, "2")
			s.T = t
			s.ok(logical.Write, "config", fmt.Sprintf(`{"delete_version_after":%q}`, c.mount))
			s.ok(logical.Write, "metadata/a", fmt.Sprintf(`{"delete_version_after":%q}`, c.secret))
			if c.after == 0 {
				s.script([]step{{op: logical.Write, path: "data/a", body: `{"data":{}}`, want: info(start, 1)}})
				s.Now = start.Add(1e6 * time.Hour)
				s.ok(logical.Read, "data/a", "")
				return
			}
			meta := infoWith(start, text(start.Add(c.after)), false, 1)
			s.script([]step{
				{op: logical.Write, path: "data/a", body: `{"data":{}}`, want: meta},
				{op: logical.Read, path: "data/a", want: `{"data":{},"metadata":` + meta + `}`},
			})
			s.Now = start.Add(c.after - 1)
			s.script([]step{{op: logical.Read, path: "data/a", want: `{"data":{},"metadata":` + meta + `}`}})
			s.Now = start.Add(c.after)
			s.script([]step{
				{op: logical.Read, path: "data/a", want: `{"data":null,"metadata":` + meta + `}`, lost: true},
				{op: logical.Patch, path: "data/a", body: `{"data":{}}`, err: logical.ErrNotFound},
				{op: logical.Delete, path: "data/a"},
				{op: logical.Read, path: "data/a", want: `{"data":null,"metadata":` + meta + `}`, lost: true},
				{op: logical.Write, path: "undelete/a", body: `{"versions":[1]}`},
				{op: logical.Read, path: "data/a", want: `{"data":{},"metadata":` + info(start, 1) + `}`},
			})
		})
	}
}

func TestDeletingComesBeforeTheDeletionTime(t *testing.T) {
	s := serve(t, "2")
	s.ok(logical.Write, "config", `{"delete_version_after":"1h"}`)
	s.ok(logical.Write, "data/a", `{"data":{}}`)
	s.Now = start.Add(time.Minute)
	s.ok(logical.Delete, "data/a", "")
	s.script([]step{{op: logical.Read, path: "data/a", lost: true,
		want: `{"data":null,"metadata":` + infoWith(start, text(s.Now), false, 1) + `}`}})
}

func TestDestroyingRemovesTheData(t *testing.T) {
	s := serve(t, "2")
	s.putMany("a", 6)
	s.ok(logical.Write, "destroy/a", `{"versions":[4,2,1,6,9,1]}`)
	if n := s.rows("version"); n != 2 {
		t.Errorf("%d rows", n)
	}
	if _, _, n := s.kept("a"); n != 6 {
		t.Errorf("%d versions", n)
	}
	s.ok(logical.Read, "data/a?version=3", "")
	s.ok(logical.Read, "data/a?version=5", "")
}

func TestOfConcurrentWritesWithTheSameCASOneWins(t *testing.T) {
	const writers, rounds = 8, 5
	s := serve(t, "2")
	for round := range rounds {
		var wg sync.WaitGroup
		errs := make([]error, writers)
		for i := range writers {
			wg.Go(func() {
				_, errs[i] = s.Call(logical.Write, "data/a",
					fmt.Sprintf(`{"data":{"writer":%d},"options":{"cas":%d}}`, i, round))
			})
		}
		wg.Wait()
		won := -1
		for i, err := range errs {
			switch {
			case err == nil && won < 0:
				won = i
			case err == nil:
				t.Errorf("round %d: %d and %d won", round, won, i)
			case err.Error() != "check-and-set parameter did not match the current version":
				t.Errorf("round %d: %v", round, err)
			}
		}
		want := fmt.Sprintf(`{"data":{"writer":%d},"metadata":%s}`, won, info(start, round+1))
		if got := s.ok(logical.Read, "data/a", ""); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestConcurrentWritesAllBecomeVersions(t *testing.T) {
	const writers = 8
	s := serve(t, "2")
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			if _, err := s.Call(logical.Write, "data/a", `{"data":{}}`); err != nil {
				t.Error(err)
			}
			if _, err := s.Call(logical.Read, "data/a", ""); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if current, _, n := s.kept("a"); current != writers || n != writers || s.rows("version") != writers {
		t.Errorf("current %d, %d versions, %d rows", current, n, s.rows("version"))
	}
}

func TestDamagedRowsAreRefusedWithoutTellingWhatIsInThem(t *testing.T) {
	for _, c := range []struct{ name, table, value string }{
		{"a secret that is no JSON", "secret", `{"v":1,"custom":{"canary"`},
		{"a secret of a newer form", "secret", `{"v":2,"custom":{"canary":"x"}}`},
		{"a version that is no JSON", "version", `canary`},
		{"a version of a newer form", "version", `{"v":2,"data":{"canary":1}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, "2")
			s.T = t
			s.ok(logical.Write, "data/a", `{"data":{"x":1}}`)
			s.Change(func(p storage.Part) error {
				for e, err := range p.Scan(t.Context(), storage.Plain(c.table), "") {
					if err != nil {
						return err
					}
					p.Put(e.Key, []byte(c.value))
				}
				return nil
			})
			_, err := s.do(logical.Read, "data/a", "")
			if err == nil || errors.Is(err, logical.ErrNotFound) || errors.Is(err, logical.ErrInvalid) || strings.Contains(err.Error(), "canary") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// What putData writes is read without parsing it: both ways must agree.
func TestARowOfDataIsReadAsItWasWritten(t *testing.T) {
	for _, data := range []string{`{}`, `{"a":"b"}`, `{"data":{"v":1}}`, `{"a":[1,{"b":null}],"c":12345678901234567890}`, `null`} {
		value, err := dataForm.Encode(&dataRow{Data: json.RawMessage(data)})
		if err != nil {
			t.Fatal(err)
		}
		var parsed dataRow
		if err := dataForm.Decode(value, &parsed); err != nil {
			t.Fatal(err)
		}
		if got, err := parseData(value); err != nil || string(got) != data || data != "null" && string(parsed.Data) != data {
			t.Errorf("%s: got %s, %v", data, got, err)
		}
	}
	for _, value := range []string{``, `{}`, `{"v":2,"data":{}}`, `x`} {
		if got, err := parseData([]byte(value)); err == nil {
			t.Errorf("%s: got %s", value, got)
		}
	}
}
