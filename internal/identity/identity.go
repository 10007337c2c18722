// Package identity knows who is behind logins: an entity is one client, an alias
// is its name at one auth method. Both are made at the first login, so that
// consumers and the audit can name who did something across tokens.
package identity

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/uuid"
)

var form = storage.Form[Entity]{Name: "entity record", Version: 1}

// Entity is one client.
type Entity struct {
	ID       string            `json:"-"` // UUID
	Name     string            `json:"name"`
	Metadata map[string]string `json:"meta,omitempty"`
	Created  time.Time         `json:"at"`
	Aliases  []Alias           `json:"aliases"`
}

// Alias is the name of an entity at one auth method.
type Alias struct {
	ID            string            `json:"id"` // UUID
	Name          string            `json:"name"`
	MountAccessor string            `json:"mount"`
	Metadata      map[string]string `json:"meta,omitempty"`
}

func aliasKey(ns, mountAccessor, name string) string {
	return storage.Plain("alias") + storage.Plain(ns) + storage.Plain(mountAccessor) + storage.Name(name)
}

func entityKey(ns, id string) string {
	return storage.Plain("entity") + storage.Plain(ns) + storage.Plain(id)
}

// Login returns the id of the entity that has the alias name at the auth method,
// in tx; it is made if there is none. Metadata of the alias is brought up to
// date.
func Login(ctx context.Context, tx *storage.Tx, ns, mountAccessor, name string, meta map[string]string, now time.Time) (entityID string, err error) {
	e, err := tx.Get(ctx, aliasKey(ns, mountAccessor, name))
	if errors.Is(err, storage.ErrNotFound) {
		return create(tx, ns, Alias{ID: uuid.New(), Name: name, MountAccessor: mountAccessor, Metadata: meta}, now)
	}
	if err != nil {
		return "", err
	}
	id := string(e.Value)
	entity, err := Get(ctx, tx, ns, id)
	if errors.Is(err, storage.ErrNotFound) {
		// An alias of nobody must not lock its owner out.
		return create(tx, ns, Alias{ID: uuid.New(), Name: name, MountAccessor: mountAccessor, Metadata: meta}, now)
	}
	if err != nil {
		return "", err
	}
	for i, a := range entity.Aliases {
		if a.MountAccessor == mountAccessor && a.Name == name && !maps.Equal(a.Metadata, meta) {
			entity.Aliases[i].Metadata = meta
			return id, put(tx, ns, entity)
		}
	}
	return id, nil
}

func create(tx *storage.Tx, ns string, a Alias, now time.Time) (string, error) {
	id := uuid.New()
	e := &Entity{ID: id, Name: "entity_" + id[:8], Created: now, Aliases: []Alias{a}}
	tx.Put(aliasKey(ns, a.MountAccessor, a.Name), []byte(id))
	return id, put(tx, ns, e)
}

func put(tx *storage.Tx, ns string, e *Entity) error {
	value, err := form.Encode(e)
	if err != nil {
		return err
	}
	tx.Put(entityKey(ns, e.ID), value)
	return nil
}

// Get reads an entity, or returns storage.ErrNotFound.
func Get(ctx context.Context, tx *storage.Tx, ns, id string) (*Entity, error) {
	row, err := tx.Get(ctx, entityKey(ns, id))
	if err != nil {
		return nil, err
	}
	e := &Entity{ID: id}
	if err := form.Decode(row.Value, e); err != nil {
		return nil, err
	}
	return e, nil
}
