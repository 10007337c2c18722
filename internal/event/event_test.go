package event_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/event"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 3, time.UTC)

func appendAt(t testing.TB, s storage.Store, now time.Time, events ...logical.Event) {
	t.Helper()
	m := logical.MountPoint{ID: "M", Path: "secret/", Type: "kv"}
	_, err := storage.Update(t.Context(), s, func(tx *storage.Tx) error {
		for _, e := range events {
			if err := event.Append(tx, "root", m, "R", now, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func outbox(t testing.TB, s storage.Store) (entries []storage.Entry) {
	t.Helper()
	err := storage.View(t.Context(), s, func(tx *storage.Tx) error {
		for e, err := range tx.Scan(t.Context(), event.Table(), "") {
			if err != nil {
				return err
			}
			entries = append(entries, e)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestAnEventReadsAsItWasWrittenButForItsSecret(t *testing.T) {
	s := inmem.New()
	appendAt(t, s, noon, logical.Event{
		Type: "kv-v2/data-write", Path: "data/db", Metadata: map[string]string{"operation": "create"},
		Secret: json.RawMessage(`{"password":"hunter2"}`),
	})
	rows := outbox(t, s)
	if len(rows) != 1 || bytes.Contains(rows[0].Value, []byte("hunter2")) {
		t.Fatalf("%d rows, or the secret is in one", len(rows))
	}
	got, err := event.Parse(rows[0])
	if err != nil {
		t.Fatal(err)
	}
	want := event.Record{
		ID: got.ID, Type: "kv-v2/data-write", Time: noon, Namespace: "root", MountID: "M", MountPath: "secret/",
		MountType: "kv", RequestID: "R", Path: "secret/data/db", Metadata: map[string]string{"operation": "create"},
	}
	if diff := cmp.Diff(want, got); diff != "" || got.ID == "" {
		t.Error(diff)
	}
}

func TestEventsOfOneMomentAreAllKept(t *testing.T) {
	s := inmem.New()
	appendAt(t, s, noon, logical.Event{Type: "a"}, logical.Event{Type: "a"}, logical.Event{Type: "b"})
	if n := len(outbox(t, s)); n != 3 {
		t.Errorf("%d events", n)
	}
}

func TestOldEventsArePruned(t *testing.T) {
	tests := []struct {
		name string
		old  int
		mine int // operations that the caller adds
	}{
		{"none", 0, 2},
		{"one", 1, 2},
		{"as many as a commit takes", storage.MaxOps, 2},
		{"a few less", storage.MaxOps - 2, 2},
		{"some less", storage.MaxOps - 9, 2},
		{"more than two commits take", 2*storage.MaxOps + 5, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := inmem.New()
			for i := range test.old {
				appendAt(t, s, noon.Add(time.Duration(i)), logical.Event{Type: "old"})
			}
			now := noon.Add(time.Hour).Add(event.Retention)
			appendAt(t, s, now.Add(-event.Retention), logical.Event{Type: "just young enough"})
			appendAt(t, s, now, logical.Event{Type: "new"})
			for more := true; more; {
				_, err := storage.Update(t.Context(), s, func(tx *storage.Tx) (err error) {
					for i := range test.mine {
						tx.Put(storage.Plain(fmt.Sprint("mine", i)), nil)
					}
					more, err = event.Prune(t.Context(), tx, now)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if n := len(outbox(t, s)); n != 2 {
				t.Errorf("%d events are left, want 2", n)
			}
		})
	}
}

// What version 1 has written must be read for ever.
func TestTheFormatOfRecordsStays(t *testing.T) {
	const v1 = `{"v":1,"id":"I","type":"t","at":"2026-05-01T12:00:00Z","ns":"root","mnt":"M","mp":"secret/","mt":"kv","req":"R","path":"secret/a","of later versions":1}`
	got, err := event.Parse(storage.Entry{Value: []byte(v1)})
	if err != nil || got.ID != "I" || got.Path != "secret/a" || got.MountType != "kv" || got.RequestID != "R" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, record := range []string{strings.Replace(v1, `"v":1`, `"v":2`, 1), `{`} {
		if _, err := event.Parse(storage.Entry{Value: []byte(record)}); err == nil {
			t.Errorf("%.10s…: no error", record)
		}
	}
}
