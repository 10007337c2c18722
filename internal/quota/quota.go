// Package quota limits how many requests a client, known by its address, may
// make in a time. It keeps the rules, finds the one that a request falls under,
// and counts. What becomes of a request that is over its limit is the caller's
// business; so is whether the mount and the role that a rule names exist.
//
// Rules are stored, and followed by every node; what clients have used is
// counted on each node, in memory. A rule hangs on the id of its mount, so it
// moves with it.
//
// Start reading at [Rule], then [Store.For] and [Limit.Take].
package quota

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

var (
	ruleForm     = storage.Form[Rule]{Name: "quota record", Version: 1}
	settingsForm = storage.Form[Settings]{Name: "quota settings", Version: 1}
)

// Bounds of what a rule may say: enough for any use, and short of what would
// overflow.
const (
	maxRate = 1e12                      // requests an interval
	maxStep = 10 * 365 * 24 * time.Hour // from one request to the next
)

// Rule says how many requests a client may make of something.
type Rule struct {
	Name string `json:"-"`

	// MountID, Path and Role are what it is for: without a mount, the whole
	// server. Path is below the mount, one path or, with a * at its end, all that
	// begin so; empty: the whole mount. Role limits logins only, those for that
	// role; it has no Path beside it.
	MountID string `json:"mount,omitempty"`
	Path    string `json:"path,omitempty"`
	Role    string `json:"role,omitempty"`

	Rate     float64       `json:"rate"`            // requests an interval, above zero
	Interval time.Duration `json:"every"`           // at least a second
	Block    time.Duration `json:"block,omitempty"` // how long all is refused to who was over the limit once

	// Inheritable is kept for clients: namespaces would take it over.
	Inheritable bool `json:"inherit,omitempty"`
}

// check returns an error of kind logical.ErrInvalid if the rule makes no sense.
func (r *Rule) check() error {
	switch {
	case r.Name == "" || strings.ContainsFunc(r.Name, notInName):
		return logical.Invalid("the name of a quota is of letters, digits, dots, dashes and underscores")
	case !(r.Rate > 0 && r.Rate <= maxRate): // or not a number
		return logical.Invalid("'rate' is invalid: it must be above zero")
	case r.Interval < time.Second:
		return logical.Invalid("'interval' is invalid: it must be a second or more")
	case r.Block != 0 && r.Block < time.Second:
		return logical.Invalid("'block_interval' is invalid: it must be a second or more")
	case r.Interval > maxStep || r.Block > maxStep || float64(r.Interval)/r.Rate > float64(maxStep):
		return logical.Invalid("the quota allows less than a request in ten years")
	case strings.Contains(strings.TrimSuffix(r.Path, "*"), "*"):
		return logical.Invalid("'path' is invalid: * can stand at its end only")
	case r.Role != "" && (r.MountID == "" || r.Path != ""):
		return logical.Invalid("'role' needs the path of an auth mount, and nothing behind it")
	}
	return nil
}

func notInName(c rune) bool {
	return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_')
}

// sameScope says whether two rules are for the same.
func (r *Rule) sameScope(other *Rule) bool {
	return r.MountID == other.MountID && r.Role == other.Role && trimSlash(r.Path) == trimSlash(other.Path)
}

// trimSlash makes a list of a folder the same path as the folder.
func trimSlash(path string) string { return strings.TrimSuffix(path, "/") }

// burst is how many requests may be made at once.
func (r *Rule) burst() int64 { return int64(max(1, math.Floor(r.Rate))) }

// step is the time in which one more request becomes allowed.
func (r *Rule) step() time.Duration {
	return max(1, time.Duration(float64(r.Interval)/r.Rate))
}

// Settings are for all rules.
type Settings struct {
	// ExemptPaths are what no rule is for: paths of the API, or with a * at the
	// end all that begin so.
	ExemptPaths []string `json:"exempt"`
	Audit       bool     `json:"audit,omitempty"`   // requests over a limit are put on record
	Headers     bool     `json:"headers,omitempty"` // answers tell of the limit
}

// Default is the settings of a server where nobody has changed them.
func Default() Settings {
	return Settings{ExemptPaths: []string{
		"sys/generate-recovery-token/attempt",
		"sys/generate-recovery-token/update",
		"sys/generate-root/attempt",
		"sys/generate-root/update",
		"sys/health",
		"sys/seal-status",
		"sys/unseal",
	}}
}

// exempt says whether no rule is for a path of the API.
func (s *Settings) exempt(path string) bool {
	path = trimSlash(path)
	return slices.ContainsFunc(s.ExemptPaths, func(p string) bool {
		if prefix, ok := strings.CutSuffix(p, "*"); ok {
			return strings.HasPrefix(path, prefix)
		}
		return trimSlash(p) == path
	})
}
