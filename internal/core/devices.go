package core

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/internal/audit"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/storage"
)

// deviceRecord is an audit device as it is stored.
type deviceRecord struct {
	Type        string            `json:"type"`
	Description string            `json:"desc,omitempty"`
	Options     map[string]string `json:"opt,omitempty"`
	Local       bool              `json:"local,omitempty"`
	Salt        []byte            `json:"salt"`
	// Configured is set if the server's configuration declares the device; the
	// API can't remove it then.
	Configured bool `json:"conf,omitempty"`
}

var deviceForm = storage.Form[deviceRecord]{Name: "audit device record", Version: 1}

func deviceTable() string {
	return configuration() + storage.Plain(RootNamespace) + storage.Plain("audit")
}

// device is a stored device with its name.
type device struct {
	path string
	deviceRecord
}

func (d device) declared() audit.Declared {
	return audit.Declared{Path: d.path, Type: d.Type, Description: d.Description, Options: d.Options, Local: d.Local}
}

func (c *Core) storedDevices(ctx context.Context, tx *storage.Tx) ([]device, error) {
	var all []device
	table := deviceTable()
	for row, err := range tx.Range(ctx, table, "") {
		if err != nil {
			return nil, err
		}
		name, _, err := storage.Cut(row.Key[len(table):])
		if err != nil {
			return nil, err
		}
		d := device{path: name.Text()}
		if err := deviceForm.Decode(row.Value, &d.deviceRecord); err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b device) int { return strings.Compare(a.path, b.path) })
	return all, nil
}

func putDevice(tx *storage.Tx, d device) error {
	if d.Salt == nil {
		d.Salt = make([]byte, 32)
		rand.Read(d.Salt) // never fails
	}
	value, err := deviceForm.Encode(&d.deviceRecord)
	if err != nil {
		return err
	}
	tx.Put(deviceTable()+storage.Name(d.path), value)
	return nil
}

// loadDevices makes the devices that are enabled those that are stored. One that
// can't be opened is left out as long as there is another, as in Vault: else
// nobody could mend it.
func (c *Core) loadDevices(ctx context.Context) error {
	var stored []device
	err := storage.View(ctx, c.barrier, func(tx *storage.Tx) (err error) {
		stored, err = c.storedDevices(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	for _, path := range c.devices.Paths() {
		if !slices.ContainsFunc(stored, func(d device) bool { return d.path == path && d.same(c.enabled[path]) }) {
			delete(c.enabled, path)
			if err := c.devices.Disable(path); err != nil {
				c.log.Warn("closing an audit device", "device", path, "error", err)
			}
		}
	}
	var failed []error
	for _, d := range stored {
		if err := c.open(d); err != nil {
			c.log.Error("opening an audit device", "device", d.path, "error", err)
			failed = append(failed, fmt.Errorf("audit device %q: %w", d.path, err))
		}
	}
	if len(stored) > 0 && len(failed) == len(stored) {
		return errors.Join(failed...)
	}
	return nil
}

// same says whether two records are of one and the same device: after it was
// disabled and enabled again it is another, with another salt.
func (r deviceRecord) same(other deviceRecord) bool {
	return r.Type == other.Type && maps.Equal(r.Options, other.Options) && bytes.Equal(r.Salt, other.Salt)
}

// open enables a stored device unless it is enabled.
func (c *Core) open(d device) error {
	if slices.Contains(c.devices.Paths(), d.path) {
		return nil
	}
	opened, err := audit.Open(d.declared(), secret.New(d.Salt))
	if err != nil {
		return err
	}
	if err := c.devices.Enable(d.path, opened); err != nil {
		return errors.Join(err, opened.Close())
	}
	c.enabled[d.path] = d.deviceRecord
	return nil
}

// syncConfigured stores the devices that the configuration declares, and removes
// those that it once did.
func (c *Core) syncConfigured(ctx context.Context) error {
	_, err := storage.Update(ctx, c.barrier, func(tx *storage.Tx) error {
		stored, err := c.storedDevices(ctx, tx)
		if err != nil {
			return err
		}
		byPath := map[string]device{}
		for _, d := range stored {
			byPath[d.path] = d
		}
		for _, want := range c.Audit {
			d := byPath[want.Path]
			delete(byPath, want.Path)
			if d.Configured && d.Type == want.Type && maps.Equal(d.Options, want.Options) {
				continue
			}
			d.path, d.Type, d.Description, d.Options, d.Configured = want.Path, want.Type, want.Description, want.Options, true
			if err := putDevice(tx, d); err != nil {
				return err
			}
		}
		for path, d := range byPath {
			if d.Configured {
				tx.Delete(deviceTable() + storage.Name(path))
			}
		}
		return nil
	})
	return err
}

// DeclaredDevices returns the audit devices that are enabled, by name.
func (c *Core) DeclaredDevices(ctx context.Context) (all []audit.Declared, err error) {
	err = storage.View(ctx, c.barrier, func(tx *storage.Tx) error {
		stored, err := c.storedDevices(ctx, tx)
		for _, d := range stored {
			all = append(all, d.declared())
		}
		return err
	})
	return all, err
}

// EnableDevice adds an audit device and returns when it records.
func (c *Core) EnableDevice(ctx context.Context, d audit.Declared) error {
	// Try it, so that what can't be opened is never stored.
	trial, err := audit.Open(d, secret.Text("trial"))
	if err != nil {
		return err
	}
	if err := errors.Join(trial.Probe(), trial.Close()); err != nil {
		return err
	}
	rev, err := storage.Update(ctx, c.barrier, func(tx *storage.Tx) error {
		if _, err := tx.Get(ctx, deviceTable()+storage.Name(d.Path)); err == nil {
			return logical.Invalid("path already in use")
		} else if !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		return putDevice(tx, device{path: d.Path, deviceRecord: deviceRecord{
			Type: d.Type, Description: d.Description, Options: d.Options, Local: d.Local,
		}})
	})
	if err != nil {
		return err
	}
	return c.await(ctx, rev)
}

// DisableDevice removes an audit device. An unknown one is no error.
func (c *Core) DisableDevice(ctx context.Context, path string) error {
	if slices.ContainsFunc(c.Audit, func(d audit.Declared) bool { return d.Path == path }) {
		return logical.Invalid("the audit device %q is declared in the server's configuration: remove it there", path)
	}
	rev, err := storage.Update(ctx, c.barrier, func(tx *storage.Tx) error {
		tx.Delete(deviceTable() + storage.Name(path))
		return nil
	})
	if err != nil {
		return err
	}
	return c.await(ctx, rev)
}
