package audit

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// Entry is what is recorded of a request, before or after it was done. Logging
// reads it only, so one Entry serves both: with Response nil, then with it set.
type Entry struct {
	Time     time.Time
	Auth     *Auth // of the caller; nil: none is known
	Request  Request
	Response *Response // nil: nothing was answered
	Error    string    // as the caller sees it; written as it is, so never a secret

	// Plain fields of the mount (audit_non_hmac_request_keys and
	// …_response_keys): top-level keys of Data that are written as they are.
	PlainRequestKeys  []string
	PlainResponseKeys []string
}

// Auth is who makes a request, or what a login earned.
type Auth struct {
	ClientToken      string // hashed; empty: left out
	Accessor         string // hashed unless the device says otherwise
	DisplayName      string
	Policies         []string
	TokenPolicies    []string
	IdentityPolicies []string
	Results          *PolicyResults // nil: nothing was decided
	Metadata         map[string]string
	EntityID         string
	NumUses          int
	TokenType        logical.TokenType
	TokenTTL         time.Duration
	TokenIssueTime   time.Time // zero: left out
}

// PolicyResults is what the policies decided.
type PolicyResults struct {
	Allowed  bool
	Granting []string // names of the policies that allow it
}

// Request is one call.
type Request struct {
	ID             string
	ClientID       string
	Op             logical.Op
	Mount          Mount
	ClientToken    string // hashed; empty: left out
	TokenAccessor  string // hashed unless the device says otherwise
	Namespace      Namespace
	Path           string          // of the API without "v1/"
	Data           json.RawMessage // texts in it are hashed; nil: none
	Remote         netip.AddrPort  // invalid: left out
	Headers        []Header
	WrapTTL        time.Duration
	PolicyOverride bool
}

// Mount is where a request arrived. Empty fields are left out.
type Mount struct {
	Point    string // "secret/", "auth/approle/"
	Type     string
	Accessor string
	Class    string // "secret" or "auth"
}

// Namespace is where all of it happens. The root's path is empty.
type Namespace struct {
	ID   string
	Path string
}

// Header is a header of the request that the configuration wants recorded.
type Header struct {
	Name   string // in lower case
	Values []string
	Hash   bool // the values are hashed
}

// Response is what was answered.
type Response struct {
	Auth     *Auth // what a login earned
	Data     json.RawMessage
	LeaseID  string // empty: no lease; written as it is, as revoking needs it
	Wrap     *Wrap
	Warnings []string
	Redirect string

	NotModified bool // the client has Data already, so it was not sent
}

// Wrap tells of an answer that was put away for one retrieval.
type Wrap struct {
	Token           string // hashed
	Accessor        string // hashed unless the device says otherwise
	WrappedAccessor string // hashed unless the device says otherwise
	TTL             time.Duration
	CreationTime    time.Time
	CreationPath    string
}
