package api

// The structs of this file travel without an envelope.

// SealStatus answers sys/seal-status and sys/unseal.
type SealStatus struct {
	Type         string   `json:"type"` // "shamir", or the kind of auto-unseal
	Initialized  bool     `json:"initialized"`
	Sealed       bool     `json:"sealed"`
	Threshold    int      `json:"t"`
	Shares       int      `json:"n"`
	Progress     int      `json:"progress"` // shares given so far
	Nonce        string   `json:"nonce"`    // of the unseal under way, else empty
	Version      string   `json:"version"`
	BuildDate    string   `json:"build_date"` // RFC 3339
	Migration    bool     `json:"migration"`
	ClusterName  string   `json:"cluster_name,omitempty"` // while unsealed
	ClusterID    string   `json:"cluster_id,omitempty"`   // while unsealed
	RecoverySeal bool     `json:"recovery_seal"`
	StorageType  string   `json:"storage_type,omitempty"`
	Warnings     []string `json:"warnings,omitempty"`
}

// UnsealRequest is the body of sys/unseal.
type UnsealRequest struct {
	Key     string `json:"key,omitempty"` // hex or base64
	Reset   bool   `json:"reset,omitempty"`
	Migrate bool   `json:"migrate,omitempty"`
}

// InitStatus answers a read of sys/init.
type InitStatus struct {
	Initialized bool `json:"initialized"`
}

// InitRequest is the body of sys/init.
type InitRequest struct {
	SecretShares      int      `json:"secret_shares"`
	SecretThreshold   int      `json:"secret_threshold"`
	StoredShares      int      `json:"stored_shares,omitempty"`
	PGPKeys           []string `json:"pgp_keys,omitempty"` // base64
	RecoveryShares    int      `json:"recovery_shares,omitempty"`
	RecoveryThreshold int      `json:"recovery_threshold,omitempty"`
	RecoveryPGPKeys   []string `json:"recovery_pgp_keys,omitempty"` // base64
	RootTokenPGPKey   string   `json:"root_token_pgp_key,omitempty"`
}

// InitResponse answers a write of sys/init, once.
type InitResponse struct {
	Keys               []string `json:"keys"`        // hex
	KeysBase64         []string `json:"keys_base64"` // the same
	RecoveryKeys       []string `json:"recovery_keys,omitempty"`
	RecoveryKeysBase64 []string `json:"recovery_keys_base64,omitempty"`
	RootToken          string   `json:"root_token"`
}

// Health answers sys/health.
type Health struct {
	Initialized                bool   `json:"initialized"`
	Sealed                     bool   `json:"sealed"`
	Standby                    bool   `json:"standby"`
	PerformanceStandby         bool   `json:"performance_standby"`
	ReplicationPerformanceMode string `json:"replication_performance_mode"` // "disabled"
	ReplicationDRMode          string `json:"replication_dr_mode"`          // "disabled"
	ServerTimeUTC              int64  `json:"server_time_utc"`              // Unix seconds
	Version                    string `json:"version"`
	Enterprise                 bool   `json:"enterprise"`
	ClusterName                string `json:"cluster_name,omitempty"` // while unsealed
	ClusterID                  string `json:"cluster_id,omitempty"`   // while unsealed
	EchoDurationMillis         int64  `json:"echo_duration_ms"`
	ClockSkewMillis            int64  `json:"clock_skew_ms"`
}

// Leader answers sys/leader.
type Leader struct {
	HAEnabled                       bool   `json:"ha_enabled"`
	IsSelf                          bool   `json:"is_self"`
	ActiveTime                      string `json:"active_time"` // RFC 3339
	LeaderAddress                   string `json:"leader_address"`
	LeaderClusterAddress            string `json:"leader_cluster_address"`
	PerformanceStandby              bool   `json:"performance_standby"`
	PerformanceStandbyLastRemoteWAL uint64 `json:"performance_standby_last_remote_wal"`
}

// RootGeneration answers sys/generate-root/attempt and …/update.
type RootGeneration struct {
	Started          bool   `json:"started"`
	Nonce            string `json:"nonce"`
	Progress         int    `json:"progress"` // shares given so far
	Required         int    `json:"required"`
	Complete         bool   `json:"complete"`
	EncodedToken     string `json:"encoded_token"`
	EncodedRootToken string `json:"encoded_root_token"` // the same, as older clients read it
	PGPFingerprint   string `json:"pgp_fingerprint"`
	OTP              string `json:"otp"` // in the answer to the start only
	OTPLength        int    `json:"otp_length"`
}

// Rekey answers sys/rekey/init.
type Rekey struct {
	Started              bool     `json:"started"`
	Nonce                string   `json:"nonce"`
	Threshold            int      `json:"t"` // of the new shares
	Shares               int      `json:"n"` // of the new shares
	Progress             int      `json:"progress"`
	Required             int      `json:"required"` // of the old shares
	PGPFingerprints      []string `json:"pgp_fingerprints"`
	Backup               bool     `json:"backup"`
	VerificationRequired bool     `json:"verification_required"`
	VerificationNonce    string   `json:"verification_nonce,omitempty"`
}

// RekeyUpdate answers sys/rekey/update when the last share has come.
type RekeyUpdate struct {
	Nonce                string   `json:"nonce"`
	Complete             bool     `json:"complete"`
	Keys                 []string `json:"keys"`
	KeysBase64           []string `json:"keys_base64"`
	PGPFingerprints      []string `json:"pgp_fingerprints"`
	Backup               bool     `json:"backup"`
	VerificationRequired bool     `json:"verification_required"`
	VerificationNonce    string   `json:"verification_nonce,omitempty"`
}
