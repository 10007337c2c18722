// Package sys is the server's own engines: system, below sys/, and token, below
// auth/token/. Both are tables of routes like any other engine's; what they do,
// they do through the stores and the [House] they are given.
package sys

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"time"

	"github.com/cofferhq/coffer/internal/audit"
	"github.com/cofferhq/coffer/internal/authz"
	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/consumer"
	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/lease"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/policy"
	"github.com/cofferhq/coffer/internal/quota"
	"github.com/cofferhq/coffer/internal/rotate"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/token"
)

// rootNS is the id of the only namespace there is.
const rootNS = "root"

// House is what the engines need of the core.
type House interface {
	// Mounts returns the mounts that answer.
	Mounts() *mount.Table
	Mount(ctx context.Context, e *mount.Entry) error
	Unmount(ctx context.Context, path string) error
	Tune(ctx context.Context, id string, change func(e *mount.Entry) error) error
	Move(ctx context.Context, from, to string) error
	// Offered returns what can be mounted, by type.
	Offered() []logical.Kind

	// EnableDevice and DisableDevice change the audit devices.
	EnableDevice(ctx context.Context, d audit.Declared) error
	DisableDevice(ctx context.Context, path string) error
	DeclaredDevices(ctx context.Context) ([]audit.Declared, error)
	// AuditedHeaders returns the headers of requests that are put on record, in
	// lower case, and whether as hashes.
	AuditedHeaders() map[string]bool
	AuditHeader(ctx context.Context, name string, hash bool) error
	IgnoreHeader(ctx context.Context, name string) error

	// CORS returns the origins whose pages may use the server, if any, and what
	// headers they may send beside the usual ones.
	CORS() (origins, headers []string)
	SetCORS(ctx context.Context, origins, headers []string) error

	Quotas() *quota.Store
	Rotator() *rotate.Rotator
	// DueStatus tells how the due queue stands; ConfirmClock has done what it holds
	// back because of a jump of the clock.
	DueStatus(ctx context.Context) (*due.Status, error)
	ConfirmClock(ctx context.Context) error
	Consumers() *consumer.Store
	// UnderWay returns the requests that are being handled.
	UnderWay() []UnderWay

	// Wrapping and Wrapped tell of a wrapping token and of what it gives; Unwrap
	// uses it up.
	Wrapping(ctx context.Context, ns, text string, now time.Time) (*token.Token, error)
	Wrapped(ctx context.Context, ns, text string, now time.Time) (json.RawMessage, error)
	Unwrap(ctx context.Context, ns, text string, now time.Time) (json.RawMessage, error)

	// EachConsumer tells of the consumers of a secret, seen from a version.
	EachConsumer(ctx context.Context, s consumer.Secret, version int, idle bool, fn func(c *consumer.Consumer, s consumer.State)) error

	// NewestVersion returns the number of the newest version of a secret; zero if
	// there is none.
	NewestVersion(ctx context.Context, s consumer.Secret) (int, error)

	RenewLease(ctx context.Context, id string, increment time.Duration) (*lease.Lease, error)
	RenewToken(ctx context.Context, id string, increment time.Duration) (warnings []string, err error)
	RevokeTokensOf(ctx context.Context, match func(t *token.Token) bool) error
	// ForgetOutside has engines forget what they can't take back outside, and returns
	// what that is, for people.
	ForgetOutside(ctx context.Context, path string) (left []string, err error)
	// VoidBatchTokens makes the batch tokens void that were made below a path until
	// now.
	VoidBatchTokens(ctx context.Context, path string) error

	// Await returns when the configuration of rev is in force.
	Await(ctx context.Context, rev storage.Revision) error
	Seal(ctx context.Context) error
}

// Deps is what the engines work with. Every field is needed.
type Deps struct {
	House    House
	Store    storage.Store // above the barrier
	Tokens   *token.Store
	Leases   *lease.Store
	Policies *authz.Store
	Devices  *audit.Broker
	Barrier  *barrier.Barrier
	Host     func() (any, error) // for sys/host-info
	// Configuration tells how the server is configured, without anything secret.
	Configuration func() any
	Metrics       func(format string) (contentType string, body []byte, err error) // for sys/metrics
	// LogLevel is how much the server logs. Nil: it has no log of its own.
	LogLevel *slog.LevelVar
}

// Kinds returns the system's engines.
func Kinds(d Deps) []logical.Kind {
	if d.LogLevel == nil {
		d.LogLevel = new(slog.LevelVar)
	}
	configured := d.LogLevel.Level()
	return []logical.Kind{
		{
			Type: "system", Description: "the server itself",
			New: func(logical.MountPoint) (*logical.Engine, error) {
				return &logical.Engine{Endpoints: logical.Bind(&system{Deps: d, configured: configured}, systemRoutes)}, nil
			},
		},
		{
			Type: "token", Auth: true, Description: "tokens that others create, look up, renew and revoke",
			New: func(m logical.MountPoint) (*logical.Engine, error) {
				return &logical.Engine{Endpoints: logical.Bind(&tokens{Deps: d, mount: m}, tokenRoutes)}, nil
			},
		},
	}
}

// system answers below sys/.
type system struct {
	Deps
	configured slog.Level // of the log
	moves      moveLog
}

var systemRoutes = slices.Concat(
	mountRoutes, policyRoutes, passwordRoutes, auditRoutes, capabilityRoutes, leaseRoutes, wrappingRoutes, uiRoutes, infoRoutes,
	catalogRoutes, toolRoutes, specRoutes, quotaRoutes, auditingRoutes, auditStateRoutes, corsRoutes, stateRoutes, keyRoutes,
	rotationRoutes, consumerRoutes, dueRoutes, explainRoutes,
	loggerRoutes, lockedRoutes, eventRoutes,
)

// acl returns what the caller of r may do, or nil without a caller.
func (d Deps) acl(ctx context.Context, r *logical.Request) (*policy.ACL, error) {
	if r.Caller == nil {
		return nil, nil
	}
	return d.Policies.ACL(ctx, r.Caller.Policies, r.Caller.EntityID)
}

// object is data of an answer.
type object = map[string]any

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
