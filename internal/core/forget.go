package core

import (
	"context"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/internal/mount"
)

// ForgetOutside has the engines of all mounts below a path take back what is outside
// and belongs to no lease, and forget what they can't take back: that is left behind,
// and told of. Mounts that are being disabled are among them, as that is what holds
// them up.
func (c *Core) ForgetOutside(ctx context.Context, path string) (left []string, err error) {
	path = strings.TrimSuffix(path, "/") + "/"
	mounts := slices.DeleteFunc(slices.Clone(c.Mounts().All()), func(m *mount.Mounted) bool {
		return !strings.HasPrefix(m.Path, path)
	})
	if m := c.Mounts().Leaving(path); m != nil {
		mounts = append(mounts, m)
	}
	for _, m := range mounts {
		if m.Engine.Forget == nil {
			continue
		}
		more, err := m.Engine.Forget(ctx, c.byItself(m))
		left = append(left, more...)
		for _, what := range more {
			c.log.Warn("left behind outside, by force", "mount", m.Path, "what", what)
		}
		if err != nil {
			return left, err
		}
	}
	return left, nil
}
