package custody

import (
	"context"
	"errors"
	"fmt"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/seal/shamir"
	"github.com/cofferhq/coffer/internal/storage"
)

// configKey is where the seal configuration lies, readable by anyone.
var configKey = barrier.RawKey("config")

var configForm = storage.Form[config]{Name: "seal configuration", Version: 1, Member: "version"}

// config is the row that says how the root key is held. It is written in one
// commit with the keyring.
type config struct {
	Type string `json:"type"`

	// Keys describes the shares that people hold: of the root key if the type is
	// TypeShamir, else of the recovery key.
	Keys keySet `json:"keys"`

	Root     []byte `json:"root,omitempty"`     // the root key, wrapped by the seal
	Recovery []byte `json:"recovery,omitempty"` // the recovery key, wrapped by the seal

	rev storage.Revision // of the row, as it was read
}

// keySet describes the shares of one key. All are zero if there are none.
type keySet struct {
	Shares    int   `json:"shares"`
	Threshold int   `json:"threshold"`
	Set       setID `json:"set"`
}

// load returns the configuration. Its errors have one of the causes
// ErrUninitialized, ErrIncomplete and ErrConfig, or are the store's.
func (k *Keeper) load(ctx context.Context) (*config, error) {
	snap, err := k.inner.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	e, err := snap.Get(ctx, configKey)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, k.missing(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("read the seal configuration: %w", err)
	}
	cfg, err := parseConfig(e.Value)
	if err != nil {
		return nil, err
	}
	cfg.rev = e.Revision
	initialized, err := k.barrier.Initialized(ctx)
	if err == nil && !initialized {
		err = barrier.ErrOrphaned // a configuration is data too
	}
	return cfg, incomplete(err)
}

// missing says why there is no configuration.
func (k *Keeper) missing(ctx context.Context) error {
	initialized, err := k.barrier.Initialized(ctx)
	switch {
	case err != nil:
		return incomplete(err)
	case initialized:
		return refuse(ErrIncomplete, "the store has data but its seal configuration is gone").
			WithHint("restore a snapshot")
	}
	return refuse(ErrUninitialized, "coffer is not initialized")
}

// incomplete gives barrier.ErrOrphaned a text for the caller.
func incomplete(err error) error {
	if errors.Is(err, barrier.ErrOrphaned) {
		return refuse(errors.Join(ErrIncomplete, err), "the store has data but its keyring is gone").
			WithHint("restore a snapshot")
	}
	return err
}

func parseConfig(value []byte) (*config, error) {
	var cfg config
	err := configForm.Decode(value, &cfg)
	if errors.Is(err, storage.ErrNewer) {
		return nil, refuse(errors.Join(ErrConfig, err), "the seal configuration is of a newer version of coffer: run that version")
	}
	if err != nil || !cfg.sound() {
		return nil, refuse(errors.Join(ErrConfig, err), "the seal configuration is damaged")
	}
	return &cfg, nil
}

// sound says whether the fields fit together.
func (c *config) sound() bool {
	none := c.Keys == keySet{}
	held := c.Keys.Threshold >= 1 && c.Keys.Threshold <= c.Keys.Shares && c.Keys.Shares <= shamir.MaxShares
	if c.Type == TypeShamir {
		return held && c.Root == nil && c.Recovery == nil
	}
	return c.Type != "" && len(c.Root) > 0 && (held || none) && held == (len(c.Recovery) > 0)
}
