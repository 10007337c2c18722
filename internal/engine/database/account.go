package database

import (
	"context"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// account is the password of a user that coffer does not make: of a static role,
// or of a connection's own user. It is part of their records.
type account struct {
	Password kept      `json:"pw,omitzero"`  // in force, as far as is known; empty: not known
	Previous kept      `json:"was,omitzero"` // before the last rotation
	Rotated  time.Time `json:"rot,omitzero"` // zero: never
	Attempt  *attempt  `json:"try,omitempty"`
}

// attempt is a change of password that was begun, and of which is not known yet
// how it ended. It keeps its candidate until a login has told.
type attempt struct {
	ID        string    `json:"id"`
	Candidate kept      `json:"pw"`
	Since     time.Time `json:"at"`
	Sent      time.Time `json:"sent"` // when the system was last asked to take it
}

// holder is a record with an account.
type holder interface {
	keeps() *account
	// errand is the id of the task that settles an attempt.
	errand() string
	// settled is told, in the commit that publishes a new password, after the
	// account has changed.
	settled(r *logical.Request) error
	save(p storage.Part) error
}

// settleAfter is when the queue takes up an attempt that nothing more was heard of.
const settleAfter = 90 * time.Second

func (a *attempt) task(h holder) logical.Task {
	return logical.Task{At: a.Since.Add(settleAfter), Ref: h.errand()}
}

// loader reads a record for a step; nil if it is gone.
type loader func(ctx context.Context, p storage.Part) (holder, error)
