package api

// Mount is a secrets engine or an auth method as sys/mounts and sys/auth tell
// of it.
type Mount struct {
	UUID                  string            `json:"uuid"`
	Type                  string            `json:"type"`
	Description           string            `json:"description"`
	Accessor              string            `json:"accessor"`
	Config                MountConfig       `json:"config"`
	Options               map[string]string `json:"options"`
	Local                 bool              `json:"local"`
	SealWrap              bool              `json:"seal_wrap"`
	ExternalEntropyAccess bool              `json:"external_entropy_access"`
	PluginVersion         string            `json:"plugin_version"`
	RunningPluginVersion  string            `json:"running_plugin_version"`
	RunningSHA256         string            `json:"running_sha256"`
	DeprecationStatus     string            `json:"deprecation_status"`
}

// MountConfig is what can be tuned of a mount, as it is read.
type MountConfig struct {
	DefaultLeaseTTL           int      `json:"default_lease_ttl"` // seconds
	MaxLeaseTTL               int      `json:"max_lease_ttl"`     // seconds
	ForceNoCache              bool     `json:"force_no_cache"`
	AuditNonHMACRequestKeys   []string `json:"audit_non_hmac_request_keys,omitempty"`
	AuditNonHMACResponseKeys  []string `json:"audit_non_hmac_response_keys,omitempty"`
	ListingVisibility         string   `json:"listing_visibility,omitempty"`
	PassthroughRequestHeaders []string `json:"passthrough_request_headers,omitempty"`
	AllowedResponseHeaders    []string `json:"allowed_response_headers,omitempty"`
	TokenType                 string   `json:"token_type,omitempty"`
}

// AuditDevice is an audit device as sys/audit tells of it.
type AuditDevice struct {
	Path        string            `json:"path"`
	Type        string            `json:"type"`
	Description string            `json:"description"`
	Options     map[string]string `json:"options"`
	Local       bool              `json:"local"`
}

// AuditRequest is the body of a write to sys/audit/PATH.
type AuditRequest struct {
	Type        string            `json:"type"`
	Description string            `json:"description"`
	Options     map[string]string `json:"options"`
	Local       bool              `json:"local"`
}
