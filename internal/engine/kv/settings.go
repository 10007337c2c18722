package kv

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// Names of fields that settings are made of.
const (
	maxVersionsField = "max_versions"
	casRequiredField = "cas_required"
	deleteAfterField = "delete_version_after"
)

// defaultMaxVersions are kept if neither the secret nor the engine says.
const defaultMaxVersions = 10

// maxDeleteAfter keeps deletion times within what Unix nanoseconds can tell.
const maxDeleteAfter = 200 * 365 * 24 * time.Hour

// settings are what can be set for a secret, and for all of a mount.
type settings struct {
	MaxVersions int           `json:"max,omitempty"`   // 0: not set
	CASRequired bool          `json:"cas,omitempty"`   // false: not set
	DeleteAfter time.Duration `json:"after,omitempty"` // 0: not set; negative: never
}

// accept takes over the settings that r brings.
func (s *settings) accept(r *logical.Request) error {
	if r.Has(maxVersionsField) {
		if s.MaxVersions = r.Int(maxVersionsField); s.MaxVersions < 0 {
			return logical.Invalid("%s cannot be negative", maxVersionsField)
		}
	}
	if r.Has(casRequiredField) {
		s.CASRequired = r.Bool(casRequiredField)
	}
	if r.Has(deleteAfterField) {
		var err error
		s.DeleteAfter, err = parseDeleteAfter(r.Text(deleteAfterField))
		return err
	}
	return nil
}

func parseDeleteAfter(text string) (time.Duration, error) {
	bare, negative := strings.CutPrefix(strings.TrimSpace(text), "-")
	d, err := logical.ParseDuration(bare)
	switch {
	case err != nil:
		return 0, logical.Invalid("error converting input for field %q: %s", deleteAfterField, err)
	case d > maxDeleteAfter:
		return 0, logical.Invalid("%s is out of range: at most %d hours", deleteAfterField, maxDeleteAfter/time.Hour)
	case negative:
		return -d, nil
	}
	return d, nil
}

// versionsKept is how many versions of a secret are kept on a mount with the
// settings all.
func (s settings) versionsKept(all settings) int {
	switch {
	case s.MaxVersions > 0:
		return s.MaxVersions
	case all.MaxVersions > 0:
		return all.MaxVersions
	}
	return defaultMaxVersions
}

// deletedAt is when a version that is written at now will count as deleted; 0 is
// never. The mount's time is a limit for the secret's, unless that is negative.
func (s settings) deletedAt(all settings, now time.Time) int64 {
	after := s.DeleteAfter
	if after == 0 || after > all.DeleteAfter && all.DeleteAfter > 0 {
		after = all.DeleteAfter
	}
	if after <= 0 {
		return 0
	}
	return now.Add(after).UnixNano()
}

// config is the row of the mount's settings.
type config struct{ settings }

var configForm = storage.Form[config]{Name: "kv configuration", Version: 1}

func configKey() string { return storage.Plain("config") }

// loadConfig reads the mount's settings. The commit depends on them.
func loadConfig(ctx context.Context, p storage.Part) (*config, error) {
	c := &config{}
	e, err := p.Get(ctx, configKey())
	if errors.Is(err, storage.ErrNotFound) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	return c, configForm.Decode(e.Value, c)
}

func (v2) readConfig(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	c, err := loadConfig(ctx, r.Part)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: c.answer()}, nil
}

func (v2) writeConfig(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	c, err := loadConfig(ctx, r.Part)
	if err != nil {
		return nil, err
	}
	if err := c.accept(r); err != nil {
		return nil, err
	}
	value, err := configForm.Encode(c)
	if err != nil {
		return nil, err
	}
	r.Part.Put(configKey(), value)
	emit(r, event{op: "config-write", path: "config", dataPath: "config"})
	return nil, nil
}
