package custody

// HeldKey is a key that people hold shares of. A server has one of them, and
// which depends on its seal.
type HeldKey int

const (
	// RootKey unseals a server without a seal.
	RootKey HeldKey = iota
	// RecoveryKey proves, on a server that a seal unseals, that people may do what
	// no token allows. It unseals nothing.
	RecoveryKey

	numHeldKeys
)

// there returns an error with the cause ErrWrongSeal unless this server has the
// key.
func (h HeldKey) there(cfg *config) error {
	switch {
	case h == RootKey && cfg.Type != TypeShamir:
		return refuse(ErrWrongSeal, "the root key is held by a seal of type %q and has no shares", cfg.Type).
			WithHint("people hold shares of the recovery key: rekey that one, at sys/rekey-recovery-key or with -target=recovery")
	case h == RecoveryKey && cfg.Type == TypeShamir:
		return refuse(ErrWrongSeal, "recovery rekeying not supported").
			WithHint("people unseal this server, so it has no recovery key: rekey the unseal key, at sys/rekey or with -target=barrier")
	}
	return nil
}

// held is there, and an error with the cause ErrAttempt if the key was never
// shared out.
func (h HeldKey) held(cfg *config) error {
	if err := h.there(cfg); err != nil {
		return err
	}
	if cfg.Keys.Threshold == 0 {
		return errNoRecoveryKey()
	}
	return nil
}

// errNoRecoveryKey is about a server that has a seal and nothing for people.
func errNoRecoveryKey() error {
	return refuse(ErrAttempt, "this server was initialized without a recovery key").
		WithHint("recovery shares are made at initialization only: initialize a new server with recovery_shares and " +
			"recovery_threshold (coffer operator init -recovery-shares=5 -recovery-threshold=3) and move the secrets there")
}

// what begins the texts about the numbers of its shares.
func (h HeldKey) what() string {
	if h == RecoveryKey {
		return "recovery"
	}
	return "seal"
}
