package approle

import (
	"context"
	"fmt"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// Dead rows are harmless, so they are removed a few at a time: by what issues
// secret ids, by logins that succeed (the commit of one that fails does not
// happen), and by tidy as many as one commit holds.

// A broom says how much a sweep may remove.
type broom struct {
	atMost int  // secret ids
	quiet  bool // only what cannot conflict with others that sweep
}

var (
	atLogin = broom{atMost: 2, quiet: true}
	atIssue = broom{atMost: 8}
	atTidy  = broom{atMost: storage.MaxOps}
)

// reserve is how many operations a sweep leaves to the rest of the commit: the
// next secret id, and the token, lease and events that the core adds.
const reserve = 32

// goneKey marks a deleted role that may still have secret ids.
func goneKey(roleID string) string { return gonePrefix() + storage.Plain(roleID) }

func gonePrefix() string { return storage.Plain("gone") }

// sweeper removes dead rows in the transaction of one request.
type sweeper struct {
	broom
	part    storage.Part
	now     time.Time
	removed int  // secret ids
	more    bool // not all that is dead was removed
}

// sweep removes secret ids that have expired, then those of deleted roles.
func sweep(ctx context.Context, r *logical.Request, b broom) (*sweeper, error) {
	s := &sweeper{broom: b, part: r.Part, now: r.Now}
	if err := s.expired(ctx); err != nil || s.more || s.quiet {
		return s, err
	}
	return s, s.gone(ctx)
}

func (method) tidy(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	s, err := sweep(ctx, r, atTidy)
	if err != nil {
		return nil, err
	}
	text := "it is finished"
	if s.more {
		text = "more is left, call it again"
	}
	return &logical.Response{Accepted: true, Warnings: []string{
		fmt.Sprintf("Tidy operation successfully started. %d secret ids were removed; %s.", s.removed, text),
	}}, nil
}

// full says that the sweep has to end, although there may be more to remove.
func (s *sweeper) full() bool {
	s.more = s.removed >= s.atMost || s.part.Room() < reserve
	return s.more
}

func (s *sweeper) expired(ctx context.Context) error {
	now := uint64(max(s.now.Unix(), 0))
	prefix := expiryPrefix()
	for e, err := range s.part.Scan(ctx, prefix, "") {
		if err != nil {
			return err
		}
		due, rest, err := storage.Cut(e.Key[len(prefix):])
		if err != nil {
			return err
		}
		if due.Number() > now || s.full() {
			return nil
		}
		id, err := ofExpiry(rest, e.Value)
		if err != nil {
			return err
		}
		if id.Custom && s.quiet {
			return nil // and not on to the next: a login looks at few rows
		}
		if err := s.removeExpired(ctx, id, e.Key); err != nil {
			return err
		}
	}
	return nil
}

// ofExpiry returns as much of a secret id as its expiry row tells.
func ofExpiry(rest string, value []byte) (*secretID, error) {
	roleID, rest, err := storage.Cut(rest)
	if err != nil {
		return nil, err
	}
	accessor, rest, err := storage.Cut(rest)
	if err != nil {
		return nil, err
	}
	hash, _, err := storage.Cut(rest)
	if err != nil {
		return nil, err
	}
	var row expiryRow
	if err := expiryForm.Decode(value, &row); err != nil {
		return nil, err
	}
	return &secretID{RoleID: roleID.Text(), Hash: hash.Text(), Accessor: accessor.Text(), Custom: row.Custom}, nil
}

func (s *sweeper) removeExpired(ctx context.Context, id *secretID, expiryKey string) error {
	mine := true
	if id.Custom {
		// The text may have been issued again, also while this runs: the read
		// makes it a condition that it was not.
		current, err := loadSecretID(ctx, s.part, id.RoleID, id.Hash)
		if err != nil {
			return err
		}
		mine = current != nil && current.Accessor == id.Accessor
	}
	if mine {
		s.part.Delete(id.key())
	}
	s.part.Delete(id.accessorKey())
	s.part.Delete(expiryKey)
	s.removed++
	return nil
}

func (s *sweeper) gone(ctx context.Context) error {
	prefix := gonePrefix()
	for e, err := range s.part.Scan(ctx, prefix, "") {
		if err != nil || s.full() {
			return err
		}
		roleID, _, err := storage.Cut(e.Key[len(prefix):])
		if err != nil {
			return err
		}
		if err := s.role(ctx, roleID.Text()); err != nil || s.more {
			return err
		}
		s.part.Delete(e.Key)
	}
	return nil
}

// role removes the secret ids of a deleted role.
func (s *sweeper) role(ctx context.Context, roleID string) error {
	prefix := secretIDPrefix(roleID)
	for e, err := range s.part.Scan(ctx, prefix, "") {
		if err != nil || s.full() {
			return err
		}
		hash, _, err := storage.Cut(e.Key[len(prefix):])
		if err != nil {
			return err
		}
		id, err := decodeSecretID(e.Value, roleID, hash.Text())
		if err != nil {
			return err
		}
		id.remove(s.part)
		s.removed++
	}
	return nil
}
