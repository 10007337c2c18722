// Package logical is what the core and the engines promise each other: requests,
// responses, routes, and the kinds of failure. It knows no HTTP, no token store
// and no cryptography; an engine that imports only this package and storage can
// be read and tested alone.
//
// Start reading at [Request], then [Route].
package logical

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/storage"
)

// Op is what a request wants done with a path.
type Op uint8

// The operations. A write is a Create where the route has an Exists function
// that says no, else an Update: policies tell them apart, handlers rarely do.
const (
	Read Op = iota
	List
	Write // in routes and requests; the core decides between Create and Update
	Patch
	Delete
	numOps

	Create = numOps     // in Request.Op only
	Update = numOps + 1 // in Request.Op only
)

// String returns the operation as audit records and policies write it.
func (op Op) String() string {
	switch op {
	case Read:
		return "read"
	case List:
		return "list"
	case Write, Update:
		return "update"
	case Create:
		return "create"
	case Patch:
		return "patch"
	case Delete:
		return "delete"
	}
	return "unknown"
}

// Request is one call of one operation on one path of a mount.
type Request struct {
	ID   string // UUID, in the audit and in the answer
	Op   Op
	Path string // below the mount, without a leading slash

	// Mount says where the request arrived.
	Mount MountPoint

	// Body is the whole JSON object of the request; nil if there was none.
	// Most handlers read the typed fields of their route instead.
	Body json.RawMessage

	// Caller is who makes the request. On routes that need no token it may be
	// nil, and is set only if there is a valid token.
	Caller *Caller

	// Token is the request's token as text, for the system's own engines only: on
	// open routes it may be of any kind, or of none.
	Token string

	RemoteAddr netip.Addr    // the client's, after trusted proxies; may be invalid
	Now        time.Time     // when the request arrived, UTC: handlers ask no other clock
	WrapTTL    time.Duration // the answer will be wrapped if above zero

	// Known is the tags of answers that the caller of a read has, without quotes;
	// usually none, and none if the answer will be wrapped. See Knows.
	Known []string

	// Part is the mount's rows, in the transaction of this request. The core
	// commits it after the handler has returned without an error, together with
	// the token, lease and events that the answer brings; if others were faster
	// the handler runs again. It has no other effect on the store.
	Part storage.Part

	// Step runs fn in a transaction of its own, with this request on the mount's
	// rows, and commits it when fn returns without an error; fn may run again. It
	// takes the place of Part where an engine touches other systems, which can't be
	// undone by not committing: on routes that are Outside, and in RenewLease,
	// RevokeLease, Work and Leave.
	Step func(ctx context.Context, fn func(r *Request) error) error

	// Events are written to the outbox in the same commit. See Emit.
	Events []Event

	// Tasks are changes of the due queue in the same commit. See Schedule, Cancel.
	Tasks []TaskChange

	params []Param        // fields that stand in the path; they win
	values map[string]any // field → typed value; nil if there are none
}

// Caller is who makes a request.
type Caller struct {
	TokenID     string // the token's id in storage; never the token. Empty for batch tokens
	Accessor    string // empty for batch tokens
	EntityID    string // empty if the token has none, as root tokens have
	DisplayName string
	Policies    []string
	Metadata    map[string]string
	TokenType   TokenType
	Role        string    // token role that the token was made with; may be empty
	Expires     time.Time // zero: never
	Root        bool
}

// MountPoint is what an engine may know of where it is mounted.
type MountPoint struct {
	ID              string // UUID, never changes
	Namespace       string // id of the namespace
	Path            string // with a trailing slash: "secret/", "auth/approle/"
	Type            string
	Accessor        string
	Options         map[string]string // immutable
	DefaultLeaseTTL time.Duration     // the mount's, else the system's; never zero
	MaxLeaseTTL     time.Duration     // the mount's, else the system's; never zero
	UserLockout     UserLockout
}

// UserLockout is when an auth method for people locks out a user who fails to log
// in. A number that is zero is left to the method.
type UserLockout struct {
	Threshold    int           `json:"n,omitempty"`     // failures that lock a user out
	Duration     time.Duration `json:"lock,omitempty"`  // for which the user is locked out
	CounterReset time.Duration `json:"reset,omitempty"` // without a failure, after which they are forgotten
	Disabled     bool          `json:"off,omitempty"`   // nobody is locked out
}

// Event is something that happened, for subscribers and later bookkeeping.
type Event struct {
	Type     string            // as Vault names it: "kv-v2/data-write"
	Path     string            // below the mount, with the API's infix: "data/db"
	Metadata map[string]string // more attributes, as Vault's documentation lists them

	// Secret is the value that was written, if one was, as its JSON object. It is
	// never stored in the outbox: it is there so that all that must see every
	// secret (fingerprints) has one place to stand, which engines pass by already.
	Secret json.RawMessage
}

// Emit adds an event to the request's commit.
func (r *Request) Emit(e Event) { r.Events = append(r.Events, e) }

// Response is an engine's answer. A nil Response is an answer without content
// (204).
type Response struct {
	// Data becomes "data" in the answer, by encoding/json or as an [Appender].
	// Parts that are json.RawMessage go out as they are, so numbers survive
	// unchanged.
	Data any

	// NotFound makes the status 404 although there is Data or there are Warnings:
	// a deleted version of a secret is not found but has metadata.
	NotFound bool

	// Tag names the state of what was read: as long as it is the same, so is the
	// answer, but for what describes it. Visible ASCII without quotes; empty: it has
	// none.
	Tag string

	// NotModified is an answer to a caller who has the one with Tag already. There is
	// no Data then.
	NotModified bool

	// Secret says which version of which secret Data gives away, so that its
	// readers are known. The zero value: of none that has versions.
	Secret SecretVersion

	Warnings []string

	// Accepted makes the status 202: the work goes on after the answer.
	Accepted bool

	// Auth is set by logins: the core makes a token of it.
	Auth *Auth

	// Lease makes the core record a lease on what Data gives away.
	Lease *Lease

	// TTL is shown as lease_duration without there being a lease, as KV v1 does.
	TTL time.Duration

	// LeaseID and Renewable tell, together with TTL, of a lease that exists
	// already: it was renewed.
	LeaseID   string
	Renewable bool

	// Raw replaces the envelope: a PEM file, metrics.
	Raw *Raw

	// TopLevel puts the fields of Data beside the envelope's as well, as many old
	// system endpoints do. Data is a JSON object then.
	TopLevel bool

	// Wrapped is a whole answer that was wrapped earlier; the core gives it back
	// as it was. All else is ignored.
	Wrapped json.RawMessage

	// Rewrap puts Wrapped away again instead of giving it back.
	Rewrap *Rewrap

	// Finish is what a route that is Outside still has to write, in the commit that
	// settles its answer: with the lease, or not at all. It may run again. Nil:
	// nothing.
	Finish func(ctx context.Context, r *Request) error

	// After runs when the answer is on record. Nil: nothing does.
	After func()
}

// SecretVersion is a version of a secret.
type SecretVersion struct {
	Path    string // below the mount, without the API's infix
	Version int    // from 1; 0: none
}

// Appender is Data that writes its own JSON: an object, valid and as short as
// may be. It is for what is read all the time.
type Appender interface {
	AppendJSON(dst []byte) []byte
}

// Rewrap tells how an answer was wrapped the first time.
type Rewrap struct {
	Path string // of the request that was answered
	TTL  time.Duration
}

// Raw is an answer that is not Vault's JSON envelope.
type Raw struct {
	Status      int
	ContentType string
	Body        []byte
}

// Lease is a promise to revoke something later.
type Lease struct {
	TTL       time.Duration // zero: the mount's default
	MaxTTL    time.Duration // zero: the mount's
	Renewable bool
	// State is what the engine needs to renew or revoke, kept encrypted.
	State json.RawMessage
}

// TokenType says how a token is kept.
type TokenType string

// The types of token.
const (
	TokenDefault TokenType = "default" // as the mount says, in the end a service token
	TokenService TokenType = "service" // a row in the store
	TokenBatch   TokenType = "batch"   // sealed into the token itself
)

// Auth is what a login earns. The core makes a token of it.
type Auth struct {
	DisplayName     string
	Policies        []string
	Metadata        map[string]string // shown in the answer and in lookups
	Alias           Alias
	TTL             time.Duration // zero: the mount's default
	MaxTTL          time.Duration // zero: the mount's
	ExplicitMaxTTL  time.Duration // hard limit also for periodic tokens; zero: none
	Period          time.Duration // above zero: renewable for ever
	NumUses         int           // zero: any number
	Renewable       bool
	Type            TokenType
	NoDefaultPolicy bool
	BoundCIDRs      []netip.Prefix // where the token may be used from; empty: anywhere
	// State is what the engine wants to see again when the token is renewed.
	State json.RawMessage

	// The rest is for the token engine, whose callers choose what logins can't.

	// Existing is the id of a token that is to be told of, not made: it was
	// renewed. Token then is its text, or empty if the caller must not learn it.
	Existing   string
	Token      string // the text; empty: the core makes one
	Parent     string // id of the parent token; empty: none
	EntityID   string // inherited from the parent; logins have an Alias instead
	Role       string // the token role
	PathSuffix string // added to the path by which the token can be revoked
	Endless    bool   // the token never expires
}

// DefaultPolicy is the policy that every token gets unless told otherwise.
const DefaultPolicy = "default"

// TokenPolicies returns the policies the token is to have: in lower case, sorted,
// each once, with the default one unless that is not wanted.
func (a *Auth) TokenPolicies() []string {
	names := make([]string, 0, len(a.Policies)+1)
	for _, name := range a.Policies {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			names = append(names, name)
		}
	}
	if slices.Contains(names, "root") {
		return []string{"root"}
	}
	if !a.NoDefaultPolicy {
		names = append(names, DefaultPolicy)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Alias names who logged in, at the mount: a role id, a user name.
type Alias struct {
	Name     string
	Metadata map[string]string
}

// Engine is one mounted instance, ready to serve.
type Engine struct {
	Endpoints *Endpoints

	// RenewLogin is asked when a token that this auth method issued is renewed.
	// It may change TTL, MaxTTL, Period and Policies of auth, or refuse. Nil: any
	// token is renewed as it was issued.
	RenewLogin func(ctx context.Context, r *Request, auth *Auth) error

	// LoginRole names the role that a login would be for, or nothing if there is
	// none, so that roles can have limits of their own. It must not write. Nil:
	// the auth method has no roles.
	LoginRole func(ctx context.Context, r *Request) (string, error)

	// RenewLease and RevokeLease serve the leases that the engine's answers
	// asked for. Nil: there is nothing outside to renew or revoke. A RevokeLease
	// that fails is tried again later; it must succeed if there is nothing left
	// to revoke. Both have the request's Step, and no Part.
	RenewLease  func(ctx context.Context, r *Request, lease *Lease) error
	RevokeLease func(ctx context.Context, r *Request, lease *Lease) error

	// Work does a task that has fallen due, within a minute, and says how it went:
	// after an error it is tried again, after a pause that grows. It must bear
	// being called for what is done already, and, after the clock was put back,
	// before the time that was planned: the task is gone then, and to be scheduled
	// anew if it is still to be awaited. It has the request's Step, and no Part.
	// Nil: the engine puts nothing off.
	Work func(ctx context.Context, r *Request, t Task) error

	// Leave takes back what is outside and belongs to no lease, before the rows of
	// a mount that is being disabled are deleted. While it fails, they stay, and it
	// is tried again. It has the request's Step, and no Part. Nil: there is nothing.
	Leave func(ctx context.Context, r *Request) error

	// Forget is Leave for an operator who would rather have the mount gone: it takes
	// back what it can, forgets the rest, and returns what that is, for people, also
	// beside an error. It has the request's Step, and no Part. Nil: there is nothing.
	Forget func(ctx context.Context, r *Request) (left []string, err error)

	// Lockout is who is locked out of this auth method. Nil: it locks nobody out.
	Lockout Lockout

	// Succeed takes over what the engine that served this mount before, under other
	// settings, has in memory. That one may still have calls under way. Nil:
	// nothing is worth it.
	Succeed func(before *Engine)

	// Close ends what runs in the background. Nil: nothing does.
	Close func() error
}

// Lockout is the users whom an auth method lets in no more for a while. It is safe
// for concurrent use.
type Lockout interface {
	// Locked returns the names of those who are locked out at now, sorted.
	Locked(now time.Time) []string
	// Unlock lets a user in again, and forgets the failures. One who is not locked
	// out is no error.
	Unlock(name string)
}

// Kind is a type of engine that can be mounted.
type Kind struct {
	Type        string // "kv", "approle"
	Auth        bool   // an auth method, mounted below auth/
	Description string // one line
	// Databases are the names of the systems that it can connect to, as clients know
	// them: "postgresql-database-plugin". Nil: none.
	Databases []string
	// New makes an instance. It must not touch the store: a new mount's rows
	// begin to exist with its first request.
	New func(m MountPoint) (*Engine, error)
	// Check reports options that the kind does not take. Nil: any are taken.
	Check func(options map[string]string) error
}
