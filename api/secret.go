// Package api holds the JSON of Vault's HTTP API as Go structs: what goes over
// the wire, field by field, and nothing else. It has no behaviour and imports
// only the standard library; package client moves these structs, and the server
// answers with those that travel without an envelope.
//
// Names, and which fields are left out when empty, are Vault's: clients test
// presence and null, not only truth. Durations are whole seconds unless said
// otherwise.
//
// Start reading at [Secret].
package api

import "time"

// Secret is the envelope of nearly every answer.
type Secret struct {
	RequestID     string `json:"request_id"`
	LeaseID       string `json:"lease_id"`
	LeaseDuration int    `json:"lease_duration"` // seconds
	Renewable     bool   `json:"renewable"`

	// Data is what was asked for. Package client decodes its numbers as
	// json.Number, so that big integers survive.
	Data map[string]any `json:"data"`

	Warnings []string  `json:"warnings"`
	Auth     *Auth     `json:"auth,omitempty"`
	WrapInfo *WrapInfo `json:"wrap_info,omitempty"`

	// MountType is the kind of engine that answered; older servers leave it out.
	MountType string `json:"mount_type,omitempty"`

	// ETag is the answer's header of that name, which tells whether what was read has
	// changed since; empty if there is none. Package client sets it.
	ETag string `json:"-"`
}

// Auth is what a login or a renewal of a token earns.
type Auth struct {
	ClientToken      string            `json:"client_token"`
	Accessor         string            `json:"accessor"`
	Policies         []string          `json:"policies"`
	TokenPolicies    []string          `json:"token_policies"`
	IdentityPolicies []string          `json:"identity_policies"`
	Metadata         map[string]string `json:"metadata"`
	LeaseDuration    int               `json:"lease_duration"` // seconds
	Renewable        bool              `json:"renewable"`
	EntityID         string            `json:"entity_id"`
	TokenType        string            `json:"token_type"`
	Orphan           bool              `json:"orphan"`
	NumUses          int               `json:"num_uses"` // zero: any number
}

// WrapInfo tells where a wrapped answer is kept, and for how long.
type WrapInfo struct {
	Token           string    `json:"token"`
	Accessor        string    `json:"accessor"`
	TTL             int       `json:"ttl"` // seconds
	CreationTime    time.Time `json:"creation_time"`
	CreationPath    string    `json:"creation_path"`
	WrappedAccessor string    `json:"wrapped_accessor,omitempty"`
}

// Failure is the body of an answer whose status is 400 or above.
type Failure struct {
	Errors []string `json:"errors"`
	Hint   string   `json:"hint,omitempty"` // what to do next; coffer's own
}
