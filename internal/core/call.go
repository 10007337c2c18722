package core

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/quota"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/token"
)

// Call is a request as an edge hands it over: nobody has looked yet at who makes
// it and whether its path exists.
type Call struct {
	ID        string // UUID
	Op        logical.Op
	Namespace string // as the client named it; empty: the root
	Path      string // without "v1/" and without a leading slash
	Token     string // text; may be empty
	Body      json.RawMessage
	Query     url.Values
	Method    string              // as it came over the wire, for people
	Header    map[string][]string // likewise, names in MIME's canonical form; may be nil
	Remote    netip.AddrPort      // the client's, after trusted proxies
	WrapTTL   time.Duration       // above zero: wrap the answer
	Known     []string            // tags of answers that the client has, see [logical.Request]; of reads only
	Now       time.Time           // UTC

	// Standing is set by Handle to what a quota leaves to the client, if answers
	// are to tell of it. Nil: there is nothing to tell.
	Standing *quota.Standing
}

// Answer is what a call earned.
type Answer struct {
	RequestID string
	MountType string // "kv", "system"…
	NotFound  bool   // status 404 although there is content
	Accepted  bool   // status 202
	Empty     bool   // nothing to say

	Tag         string // of the state that was read; empty: none
	NotModified bool   // status 304: the client has the answer with Tag

	Data     json.RawMessage // nil: null
	TopLevel bool            // Data's fields stand beside the envelope's as well
	Warnings []string
	Auth     *Auth
	Wrap     *Wrap

	LeaseID       string
	LeaseDuration time.Duration
	Renewable     bool

	Raw *logical.Raw // in place of all above

	// Wrapped is the stored envelope of an answer that has been unwrapped; it
	// replaces all but RequestID.
	Wrapped json.RawMessage

	Revision storage.Revision // what the answer is based on or has made

	after func() // runs when the answer is on record; may be nil

	secret logical.SecretVersion // that Data gives away; zero: none

	// What the answer gives away, to be taken back if it can't be recorded.
	issued []string // ids of service tokens
	leased string   // id of the lease; empty: none

	// replaces is the wrapping token whose answer was wrapped again; nil: none.
	replaces *token.Token
}

// Auth is a token that was issued or renewed, as the answer tells it.
type Auth struct {
	ClientToken      string            `json:"client_token"`
	Accessor         string            `json:"accessor"`
	Policies         []string          `json:"policies"`
	TokenPolicies    []string          `json:"token_policies"`
	IdentityPolicies []string          `json:"identity_policies,omitempty"`
	Metadata         map[string]string `json:"metadata"`
	LeaseDuration    int64             `json:"lease_duration"` // seconds
	Renewable        bool              `json:"renewable"`
	EntityID         string            `json:"entity_id"`
	TokenType        logical.TokenType `json:"token_type"`
	Orphan           bool              `json:"orphan"`
	MFARequirement   any               `json:"mfa_requirement"` // always null
	NumUses          int               `json:"num_uses"`

	display string // name for the audit
}

// Wrap tells of an answer that was put away for one retrieval.
type Wrap struct {
	Token           string `json:"token"`
	Accessor        string `json:"accessor"`
	TTL             int64  `json:"ttl"` // seconds
	CreationTime    string `json:"creation_time"`
	CreationPath    string `json:"creation_path"`
	WrappedAccessor string `json:"wrapped_accessor,omitempty"`
}

// envelope is Vault's answer, as it is read back when it was wrapped. Every field
// is always there.
type envelope struct {
	RequestID     string          `json:"request_id"`
	LeaseID       string          `json:"lease_id"`
	Renewable     bool            `json:"renewable"`
	LeaseDuration int64           `json:"lease_duration"`
	Data          json.RawMessage `json:"data"`
	WrapInfo      *Wrap           `json:"wrap_info"`
	Warnings      []string        `json:"warnings"`
	Auth          *Auth           `json:"auth"`
	MountType     string          `json:"mount_type"`
}

var envelopeFields = []string{
	"request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings", "auth", "mount_type",
}

// AppendJSON appends Vault's envelope to dst.
func (a *Answer) AppendJSON(dst []byte) ([]byte, error) {
	if a.Wrapped != nil {
		return a.appendUnwrapped(dst)
	}
	start := len(dst)
	dst = slices.Grow(dst, len(a.Data)+256)
	dst = append(dst, `{"request_id":`...)
	dst = appendText(dst, a.RequestID)
	dst = append(dst, `,"lease_id":`...)
	dst = appendText(dst, a.LeaseID)
	dst = append(dst, `,"renewable":`...)
	dst = strconv.AppendBool(dst, a.Renewable)
	dst = append(dst, `,"lease_duration":`...)
	dst = strconv.AppendInt(dst, int64(a.LeaseDuration/time.Second), 10)
	dst = append(dst, `,"data":`...)
	if a.Data == nil {
		dst = append(dst, "null"...)
	}
	dst = append(dst, a.Data...)
	for _, rare := range []struct {
		key    string
		value  any
		isNull bool
	}{{`,"wrap_info":`, a.Wrap, a.Wrap == nil}, {`,"warnings":`, a.Warnings, len(a.Warnings) == 0}, {`,"auth":`, a.Auth, a.Auth == nil}} {
		dst = append(dst, rare.key...)
		if rare.isNull {
			dst = append(dst, "null"...)
			continue
		}
		text, err := json.Marshal(rare.value)
		if err != nil {
			return nil, err
		}
		dst = append(dst, text...)
	}
	dst = append(dst, `,"mount_type":`...)
	dst = append(appendText(dst, a.MountType), '}')
	if !a.TopLevel {
		return dst, nil
	}
	whole, err := beside(dst[start:], a.Data)
	return append(dst[:start], whole...), err
}

// appendText appends s as a JSON text.
func appendText(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			text, _ := json.Marshal(s) // a string always marshals
			return append(dst, text...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// beside adds the fields of data to those of an envelope, which win.
func beside(body []byte, data json.RawMessage) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, fmt.Errorf("answer with fields at the top: %w", err)
	}
	for _, name := range envelopeFields {
		delete(fields, name)
	}
	if len(fields) == 0 {
		return body, nil
	}
	more, err := json.Marshal(fields)
	body = append(body[:len(body)-1], ',')
	return append(body, more[1:]...), err
}

// appendUnwrapped appends a stored envelope under this answer's request id.
func (a *Answer) appendUnwrapped(dst []byte) ([]byte, error) {
	var e envelope
	if err := json.Unmarshal(a.Wrapped, &e); err != nil {
		return nil, fmt.Errorf("wrapped answer: %w", err)
	}
	e.RequestID = a.RequestID
	body, err := json.Marshal(e)
	return append(dst, body...), err
}
