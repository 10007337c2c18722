// Package event keeps the outbox: what happened, written in the same commit as
// what made it happen, so that no subscriber can miss it and none can learn of
// what never was. Rows are ordered by time; their order of commit is their
// entry's revision, by which readers sort and resume.
package event

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

var form = storage.Form[Record]{Name: "event record", Version: 1}

// Record is an event as it is stored.
type Record struct {
	ID        string            `json:"id"`
	Type      string            `json:"type"`
	Time      time.Time         `json:"at"`
	Namespace string            `json:"ns"`
	MountID   string            `json:"mnt"`
	MountPath string            `json:"mp"`
	MountType string            `json:"mt"`
	RequestID string            `json:"req"`
	Path      string            `json:"path"` // with the mount's
	Metadata  map[string]string `json:"meta,omitempty"`
}

// Retention is how long an event stays in the outbox.
const Retention = time.Hour

// Table is where the outbox begins.
func Table() string { return storage.Plain("event") }

// Append writes e to the outbox in tx. The event's secret is not stored.
func Append(tx *storage.Tx, ns string, m logical.MountPoint, requestID string, now time.Time, e logical.Event) error {
	r := Record{
		ID: rand.Text(), Type: e.Type, Time: now, Namespace: ns,
		MountID: m.ID, MountPath: m.Path, MountType: m.Type, RequestID: requestID,
		Path: m.Path + e.Path, Metadata: e.Metadata,
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
	for e, err := range tx.Scan(ctx, Table(), "") {
		if err != nil {
			return false, err
		}
		at, _, err := storage.Cut(e.Key[len(Table()):])
		if err != nil {
			return false, err
		}
		if at.Number() >= limit {
			return false, nil
		}
		if tx.Room() <= roomLeft {
			return true, nil
		}
		tx.Delete(e.Key)
	}
	return false, nil
}
