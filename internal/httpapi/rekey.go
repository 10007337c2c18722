package httpapi

import (
	"net/http"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/internal/custody"
	"github.com/cofferhq/coffer/internal/logical"
)

// rekeying is the change of one of the keys that people hold shares of: below
// sys/rekey/ the root key, below sys/rekey-recovery-key/ the recovery key.
type rekeying struct {
	*Handler
	key custody.HeldKey
}

func (h rekeying) attempt(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodGet:
		s, err := h.Core.Keeper.RekeyStatus(r.Context(), h.key)
		if err != nil {
			h.fail(w, r, "", err)
			return
		}
		writeJSON(w, http.StatusOK, rekeyStatus(s))
	case isWrite(r):
		h.start(w, r)
	case r.Method == http.MethodDelete:
		h.Core.Keeper.CancelRekey(h.key)
		noContent(w)
	default:
		refuseMethod(w)
	}
}

func rekeyStatus(s custody.RekeyStatus) api.Rekey {
	return api.Rekey{
		Started: s.Started, Nonce: s.Nonce, Threshold: s.Threshold, Shares: s.Shares, Progress: s.Progress,
		Required: s.Required, VerificationRequired: s.Verification, VerificationNonce: s.VerificationNonce,
	}
}

func (h rekeying) start(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Shares    int      `json:"secret_shares"`
		Threshold int      `json:"secret_threshold"`
		Verify    bool     `json:"require_verification"`
		PGPKeys   []string `json:"pgp_keys"`
		Backup    bool     `json:"backup"`
	}
	err := h.decode(r, &in)
	switch {
	case err != nil:
	case len(in.PGPKeys) > 0:
		err = errPGP
	case in.Backup:
		err = logical.Invalid("cannot request a backup of the new keys without providing PGP keys for encryption")
	}
	if err != nil {
		h.fail(w, r, "", err)
		return
	}
	s, err := h.Core.Keeper.StartRekey(r.Context(), h.key, in.Shares, in.Threshold, in.Verify)
	if err != nil {
		h.fail(w, r, "", err)
		return
	}
	writeJSON(w, http.StatusOK, rekeyStatus(s))
}

func (h rekeying) update(w http.ResponseWriter, r *http.Request) {
	share, nonce, ok := h.share(w, r)
	if !ok {
		return
	}
	s, keys, err := h.Core.Keeper.Rekey(r.Context(), h.key, nonce, share)
	switch {
	case err != nil:
		h.fail(w, r, "", err)
	case keys == nil:
		writeJSON(w, http.StatusOK, rekeyStatus(s))
	default:
		out := api.RekeyUpdate{
			Nonce: nonce, Complete: true, VerificationRequired: s.Verification, VerificationNonce: s.VerificationNonce,
		}
		out.Keys, out.KeysBase64 = texts(keys)
		writeJSON(w, http.StatusOK, out)
	}
}

// rekeyVerification answers sys/rekey/verify.
type rekeyVerification struct {
	Nonce     string `json:"nonce"`
	Started   bool   `json:"started"`
	Threshold int    `json:"t"`
	Shares    int    `json:"n"`
	Progress  int    `json:"progress"`
}

func verification(s custody.RekeyStatus) rekeyVerification {
	return rekeyVerification{
		Nonce: s.VerificationNonce, Started: s.VerificationNonce != "", Threshold: s.Threshold, Shares: s.Shares,
		Progress: s.Verified,
	}
}

func (h rekeying) verify(w http.ResponseWriter, r *http.Request) {
	if isWrite(r) {
		h.verifyUpdate(w, r)
		return
	}
	switch r.Method {
	case http.MethodGet:
	case http.MethodDelete:
		h.Core.Keeper.ResetVerification(h.key)
	default:
		refuseMethod(w)
		return
	}
	s, err := h.Core.Keeper.RekeyStatus(r.Context(), h.key)
	if err == nil && s.VerificationNonce == "" {
		err = logical.Invalid("no rekey verification in progress")
	}
	if err != nil {
		h.fail(w, r, "", err)
		return
	}
	writeJSON(w, http.StatusOK, verification(s))
}

func (h rekeying) verifyUpdate(w http.ResponseWriter, r *http.Request) {
	share, nonce, ok := h.share(w, r)
	if !ok {
		return
	}
	s, done, err := h.Core.Keeper.VerifyRekey(r.Context(), h.key, nonce, share)
	switch {
	case err != nil:
		h.fail(w, r, "", err)
	case done:
		writeJSON(w, http.StatusOK, map[string]any{"nonce": nonce, "complete": true})
	default:
		writeJSON(w, http.StatusOK, verification(s))
	}
}
