package api

// TokenRequest is the body of auth/token/create, …/create-orphan and
// …/create/ROLE. Durations are texts as Vault takes them ("90s", "1h", seconds).
type TokenRequest struct {
	ID              string            `json:"id,omitempty"`
	Policies        []string          `json:"policies,omitempty"`
	Metadata        map[string]string `json:"meta,omitempty"`
	TTL             string            `json:"ttl,omitempty"`
	ExplicitMaxTTL  string            `json:"explicit_max_ttl,omitempty"`
	Period          string            `json:"period,omitempty"`
	NoParent        bool              `json:"no_parent,omitempty"`
	NoDefaultPolicy bool              `json:"no_default_policy,omitempty"`
	DisplayName     string            `json:"display_name"`
	NumUses         int               `json:"num_uses"`            // zero: any number
	Renewable       *bool             `json:"renewable,omitempty"` // nil: true
	Type            string            `json:"type,omitempty"`
	EntityAlias     string            `json:"entity_alias,omitempty"`
}
