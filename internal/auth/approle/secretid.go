package approle

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/netip"
	"time"

	"github.com/cofferhq/coffer/internal/grant"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// The rows that only lead to others bear no version.
var (
	secretIDForm = storage.Form[secretID]{Name: "approle secret id record", Version: 1}
	accessorForm = storage.Form[accessorRow]{Name: "approle accessor record"}
	expiryForm   = storage.Form[expiryRow]{Name: "approle expiry record"}
)

// secretID is what coffer knows of a secret id. It is the stored record, too,
// and does not hold the text.
type secretID struct {
	Hash     string `json:"-"`   // of the text, see hashOf
	RoleID   string `json:"-"`   // role.ID
	Accessor string `json:"acc"` // UUID, never used twice
	Custom   bool   `json:"own,omitempty"`

	Left     int               `json:"left,omitempty"` // uses; zero: any number
	TTL      time.Duration     `json:"ttl,omitempty"`  // at creation; zero: for ever
	Created  time.Time         `json:"at"`
	Updated  time.Time         `json:"upd"`
	Expires  time.Time         `json:"exp,omitzero"` // zero: never
	Metadata map[string]string `json:"meta,omitempty"`

	CIDRs      []string `json:"scidr,omitempty"`
	TokenCIDRs []string `json:"cidr,omitempty"`
}

// expiryRow is the row by which an expired secret id is found.
type expiryRow struct {
	Custom bool `json:"own,omitempty"`
}

// accessorRow leads from an accessor to its secret id.
type accessorRow struct {
	Hash    string    `json:"h"`
	Expires time.Time `json:"exp,omitzero"`
}

func secretIDPrefix(roleID string) string { return storage.Plain("sid") + storage.Plain(roleID) }
func accessorPrefix(roleID string) string { return storage.Plain("acc") + storage.Plain(roleID) }
func expiryPrefix() string                { return storage.Plain("exp") }

// key is where the record lies. It can be used again, if a custom secret id is
// issued again; the keys of the other rows never are.
func (s *secretID) key() string { return secretIDPrefix(s.RoleID) + storage.Name(s.Hash) }

func (s *secretID) accessorKey() string { return accessorPrefix(s.RoleID) + storage.Name(s.Accessor) }

func (s *secretID) expiryKey() string {
	// Whole seconds are enough, upwards so that no row comes up too early.
	due := storage.Order(uint64(max(s.Expires.Unix()+1, 0)))
	return expiryPrefix() + due + storage.Plain(s.RoleID) + storage.Name(s.Accessor) + storage.Name(s.Hash)
}

// hashOf is what is stored of a secret id's text. The role's id as the key makes
// it useless for any other role.
func hashOf(roleID, text string) string {
	mac := hmac.New(sha256.New, []byte(roleID))
	mac.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// loadSecretID returns nil without an error if the role has no secret id of that
// hash. It also returns expired ones.
func loadSecretID(ctx context.Context, part storage.Part, roleID, hash string) (*secretID, error) {
	e, err := part.Get(ctx, secretIDPrefix(roleID)+storage.Name(hash))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeSecretID(e.Value, roleID, hash)
}

func decodeSecretID(value []byte, roleID, hash string) (*secretID, error) {
	s := &secretID{RoleID: roleID, Hash: hash}
	if err := secretIDForm.Decode(value, s); err != nil {
		return nil, err
	}
	return s, nil
}

// expired says whether a time that is no time at all if zero has come.
func expired(end, now time.Time) bool { return !end.IsZero() && !now.Before(end) }

// create writes all rows.
func (s *secretID) create(part storage.Part) error {
	if err := s.put(part); err != nil {
		return err
	}
	value, err := accessorForm.Encode(&accessorRow{Hash: s.Hash, Expires: s.Expires})
	if err != nil {
		return err
	}
	part.Put(s.accessorKey(), value)
	if s.Expires.IsZero() {
		return nil
	}
	if value, err = expiryForm.Encode(&expiryRow{Custom: s.Custom}); err != nil {
		return err
	}
	part.Put(s.expiryKey(), value)
	return nil
}

// put writes what changes with use.
func (s *secretID) put(part storage.Part) error {
	value, err := secretIDForm.Encode(s)
	if err != nil {
		return err
	}
	part.Put(s.key(), value)
	return nil
}

// remove deletes all rows.
func (s *secretID) remove(part storage.Part) {
	part.Delete(s.key())
	part.Delete(s.accessorKey())
	if !s.Expires.IsZero() {
		part.Delete(s.expiryKey())
	}
}

// use takes one use off, in the transaction that makes the token.
func (s *secretID) use(part storage.Part, now time.Time) error {
	switch s.Left {
	case 0:
		return nil // only read: logins do not meet
	case 1:
		s.remove(part)
		return nil
	}
	s.Left--
	s.Updated = now
	return s.put(part)
}

// narrow reads the networks of a secret id, which must lie inside those of its
// role where the role has any.
func narrow(own, roles []string) ([]netip.Prefix, error) {
	inner, err := grant.ParseNetworks(own)
	if err != nil {
		return nil, err
	}
	outer, err := grant.ParseNetworks(roles)
	if err != nil {
		return nil, err
	}
	if len(outer) > 0 && !grant.Covers(outer, inner) {
		return nil, logical.Invalid("CIDR blocks on the secret ID %q should be a subset of CIDR blocks on the role %q", own, roles)
	}
	return inner, nil
}
