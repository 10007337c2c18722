package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/cofferhq/coffer/internal/core"
	"github.com/cofferhq/coffer/internal/metrics"
	"github.com/cofferhq/coffer/internal/rotate"
	"github.com/cofferhq/coffer/internal/storage"
)

// showTime bounds how long metrics wait for the storage.
const showTime = 5 * time.Second

// shownRotations is what metrics tell of rotations: of none while the server is
// sealed, or if its storage does not answer, so that the other metrics are told.
func shownRotations(c *core.Core, log *slog.Logger) []metrics.Rotation {
	if c.Sealed() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), showTime)
	defer cancel()
	var all []metrics.Rotation
	err := storage.View(ctx, c.Barrier, func(tx *storage.Tx) error {
		all = nil
		names, err := c.Rotator().Names(ctx, tx)
		if err != nil {
			return err
		}
		for _, name := range names {
			p, s, err := c.Rotator().Get(ctx, tx, name)
			if err != nil {
				return err
			}
			one := metrics.Rotation{Name: name, Next: s.Next, LastSuccess: s.LastSuccess, Failures: s.Failures}
			if p.Paused && s.Attempt == nil {
				one.Next = time.Time{}
			}
			all = append(all, one)
		}
		return nil
	})
	if err != nil && !c.Sealed() {
		log.Warn("metrics of rotations are left out", "error", err)
		return nil
	}
	return all
}

func outcome(e *rotate.Evidence) metrics.Outcome {
	switch {
	case e.Error != "":
		return metrics.Abandoned
	case e.Dead == rotate.Alive:
		return metrics.StillAlive
	case e.Dead == rotate.Inconclusive:
		return metrics.Inconclusive
	}
	return metrics.Succeeded
}
