// Package event keeps the outbox: what happened, written in the same commit as
// what made it happen, so that no subscriber can miss it and none can learn of
// what never was. Rows are ordered by time; their order of commit is their
// entry's revision, by which readers sort and resume.
package event

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/uuid"
)

var (
	form      = storage.Form[Record]{Name: "event record", Version: 1}
	floorForm = storage.Form[floor]{Name: "event floor record", Version: 1}
)

// Record is an event as it is stored.
type Record struct {
	ID        string            `json:"id"`
	Type      string            `json:"type"`
	Time      time.Time         `json:"at"`
	Namespace string            `json:"ns"`
	MountID   string            `json:"mnt"`
	MountPath string            `json:"mp"`
	MountType string            `json:"mt"`
	Accessor  string            `json:"acc,omitempty"` // of the mount
	Version   string            `json:"ver,omitempty"` // of the mount's engine, if it has several
	RequestID string            `json:"req"`
	Path      string            `json:"path"` // with the mount's
	Metadata  map[string]string `json:"meta,omitempty"`
}

// dataPath is where the metadata say what the event is about.
const dataPath = "data_path"

// Subject is the path whose policy decides who may learn of the event: where its
// effect can be read, else where it happened.
func (r *Record) Subject() string {
	if path := r.Metadata[dataPath]; path != "" {
		return path
	}
	return r.Path
}

// floor is up to where events have been pruned.
type floor struct {
	Revision storage.Revision `json:"rev"`
}

func floorKey() string { return storage.Plain("eventfloor") }

// Retention is how long an event stays in the outbox.
const Retention = time.Hour

// Table is where the outbox begins.
func Table() string { return storage.Plain("event") }

// Append writes e to the outbox in tx. The event's secret is not stored.
func Append(tx *storage.Tx, ns string, m logical.MountPoint, requestID string, now time.Time, e logical.Event) error {
	r := Record{
		ID: uuid.New(), Type: e.Type, Time: now, Namespace: ns,
		MountID: m.ID, MountPath: m.Path, MountType: m.Type, Accessor: m.Accessor, Version: m.Options["version"],
		RequestID: requestID,
		Path:      m.Path + e.Path, Metadata: e.Metadata,
	}
	value, err := form.Encode(&r)
	if err != nil {
		return err
	}
	tx.Put(Table()+storage.Order(uint64(now.UnixNano()))+storage.Plain(r.ID), value)
	return nil
}

// Parse reads a record of the outbox.
func Parse(e storage.Entry) (Record, error) {
	var r Record
	if err := form.Decode(e.Value, &r); err != nil {
		return Record{}, err
	}
	return r, nil
}

// roomLeft is how many operations Prune leaves to its caller.
const roomLeft = 8

// Prune removes events that are older than Retention at now, as many as fit one
// commit with some operations of the caller's, in tx. It says whether there may
// be more.
func Prune(ctx context.Context, tx *storage.Tx, now time.Time) (more bool, err error) {
	limit := uint64(now.Add(-Retention).UnixNano())
	var gone storage.Revision
	for e, err := range tx.Scan(ctx, Table(), "") {
		if err != nil {
			return false, err
		}
		at, _, err := storage.Cut(e.Key[len(Table()):])
		if err != nil {
			return false, err
		}
		if at.Number() >= limit {
			break
		}
		if more = tx.Room() <= roomLeft+1; more { // one is for the floor
			break
		}
		tx.Delete(e.Key)
		gone = max(gone, e.Revision)
	}
	if gone == 0 {
		return more, nil
	}
	return more, raiseFloor(ctx, tx, gone)
}

// raiseFloor records that an event of that revision has been pruned: who resumes
// from before it would miss it.
func raiseFloor(ctx context.Context, tx *storage.Tx, rev storage.Revision) error {
	before, err := readFloor(ctx, tx.Get)
	if err != nil || rev <= before {
		return err
	}
	value, err := floorForm.Encode(&floor{Revision: rev})
	if err != nil {
		return err
	}
	tx.Put(floorKey(), value)
	return nil
}

// readFloor returns the newest revision of which an event has been pruned; zero
// if none has.
func readFloor(ctx context.Context, get func(ctx context.Context, key string) (storage.Entry, error)) (storage.Revision, error) {
	row, err := get(ctx, floorKey())
	if errors.Is(err, storage.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var f floor
	err = floorForm.Decode(row.Value, &f)
	return f.Revision, err
}

// told is the metadata as subscribers see them: with the revision, under the name
// that Vault has for it.
func (m *Message) told() map[string]string {
	all := maps.Clone(m.Metadata)
	if all == nil {
		all = map[string]string{}
	}
	if m.Revision > 0 {
		all["vault_index"] = strconv.FormatUint(uint64(m.Revision), 10)
	}
	return all
}

// class is what kind of mount the event comes from, in Vault's word.
func (r *Record) class() string {
	if strings.HasPrefix(r.MountPath, "auth/") {
		return "auth"
	}
	return "secret"
}
