package soak

import (
	"bufio"
	"encoding/json"
	"maps"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/pebble"
)

// rows is how many rows each table of a store has.
type rows map[string]int

// restartAndCount counts the rows of the server's store, for which it must not
// run.
func (u *use) restartAndCount() rows {
	u.t.Helper()
	counted := u.stopAndCount()
	u.house.begin(u.t)
	return counted
}

func (u *use) stopAndCount() rows {
	u.t.Helper()
	if err := u.house.Process().Stop(); err != nil {
		u.t.Errorf("the server ended with %v", err)
	}
	u.house.noRace(u.t)
	store, err := pebble.Open(u.house.Data, pebble.Options{})
	if err != nil {
		u.t.Fatal(err)
	}
	defer store.Close()
	snap, err := store.Snapshot(u.t.Context())
	if err != nil {
		u.t.Fatal(err)
	}
	defer snap.Close()
	counted := rows{}
	for e, err := range snap.Range(u.t.Context(), "", "") {
		if err != nil {
			u.t.Fatal(err)
		}
		counted[tableOf(u.t, e.Key)]++
	}
	return counted
}

// tableOf returns the names of the first two plain segments of a key: of the
// barrier's rows, or of those that are needed before it, and the table.
func tableOf(t *testing.T, key string) string {
	t.Helper()
	first, rest, err := storage.Cut(key)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := storage.Cut(rest)
	if err != nil {
		t.Fatal(err)
	}
	return first.Text() + "/" + second.Text()
}

// may is by how many rows a table may be larger afterwards.
var may = map[string]int{
	"b/event":    math.MaxInt, // are kept for an hour
	"b/consumer": math.MaxInt, // for a day
	"b/barrier":  1,           // the count of encryptions, which is stored now and then
}

// compareRows fails the test if a table has not come back to its size.
func compareRows(t *testing.T, before, after rows) {
	t.Helper()
	both := maps.Clone(before)
	maps.Copy(both, after)
	for _, table := range slices.Sorted(maps.Keys(both)) {
		if more := after[table] - before[table]; more < 0 && may[table] == 0 || more > may[table] {
			t.Errorf("table %s had %d rows before and has %d afterwards", table, before[table], after[table])
		}
	}
}

// checkAudit compares the audit file with what was done: a line for each request
// and one for its answer, and for what was broken off at most as many. What the
// server does by itself, which has no caller's address, is not counted.
func (u *use) checkAudit() {
	u.t.Helper()
	f, err := os.Open(u.auditPath())
	if err != nil {
		u.t.Fatal(err)
	}
	defer f.Close()
	n := map[string]int64{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l struct {
			Type    string
			Request struct {
				Remote string `json:"remote_address"`
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			u.t.Errorf("audit: a line is damaged: %v", err)
		}
		if l.Request.Remote != "" {
			n[l.Type]++
		}
	}
	if err := lines.Err(); err != nil {
		u.t.Error(err)
	}
	n["response"]-- // of the request that enabled it
	least, most := u.answered.Load(), u.answered.Load()+u.brokenOff.Load()
	for _, kind := range []string{"request", "response"} {
		if n[kind] < least || n[kind] > most {
			u.t.Errorf("audit: %d lines of type %s, want %d to %d", n[kind], kind, least, most)
		}
	}
}
