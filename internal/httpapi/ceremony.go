package httpapi

import (
	"net/http"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/internal/core"
	"github.com/cofferhq/coffer/internal/custody"
	"github.com/cofferhq/coffer/internal/logical"
)

// The paths of this file are for the holders of shares of a key. They need no
// token, as the shares themselves are the proof, and have no envelope.

// refuseMethod answers to a method that a path does not take.
func refuseMethod(w http.ResponseWriter) {
	writeErrors(w, http.StatusMethodNotAllowed, "", logical.ErrUnsupportedOp.Error())
}

func isWrite(r *http.Request) bool {
	return r.Method == http.MethodPut || r.Method == http.MethodPost
}

func noContent(w http.ResponseWriter) {
	delete(w.Header(), "Content-Type")
	w.WriteHeader(http.StatusNoContent)
}

var errPGP = logical.Invalid("PGP encryption of keys is not supported").
	WithHint("leave the pgp fields out and encrypt the keys yourself, for example with age")

func (h *Handler) generateRoot(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodGet:
		p, err := h.Core.Keeper.Proof(r.Context())
		if err != nil {
			h.fail(w, r, "", err)
			return
		}
		writeJSON(w, http.StatusOK, rootGeneration(p))
	case isWrite(r):
		h.startRoot(w, r)
	case r.Method == http.MethodDelete:
		h.Core.CancelRoot()
		noContent(w)
	default:
		refuseMethod(w)
	}
}

func rootGeneration(p custody.Proof) api.RootGeneration {
	return api.RootGeneration{
		Started: p.Started, Nonce: p.Nonce, Progress: p.Progress, Required: p.Required, OTPLength: core.RootTokenBytes,
	}
}

func (h *Handler) startRoot(w http.ResponseWriter, r *http.Request) {
	var in struct {
		OTP    string `json:"otp"`
		PGPKey string `json:"pgp_key"`
	}
	err := h.decode(r, &in)
	if err == nil && in.PGPKey != "" {
		err = errPGP
	}
	if err != nil {
		h.fail(w, r, "", err)
		return
	}
	p, otp, err := h.Core.StartRoot(r.Context(), in.OTP)
	if err != nil {
		h.fail(w, r, "", err)
		return
	}
	out := rootGeneration(p)
	out.OTP, out.OTPLength = otp.RevealText(), len(otp.Reveal())
	writeJSON(w, http.StatusOK, out)
}

// shareRequest is a share that is meant for one attempt.
type shareRequest struct {
	Key   string `json:"key"`
	Nonce string `json:"nonce"`
}

// share reads one, or answers why it can't.
func (h *Handler) share(w http.ResponseWriter, r *http.Request) (share []byte, nonce string, ok bool) {
	if !isWrite(r) {
		refuseMethod(w)
		return nil, "", false
	}
	var in shareRequest
	err := h.decode(r, &in)
	if err == nil {
		share, err = parseShare(in.Key)
	}
	if err != nil {
		h.fail(w, r, "", err)
		return nil, "", false
	}
	return share, in.Nonce, true
}

func (h *Handler) generateRootUpdate(w http.ResponseWriter, r *http.Request) {
	share, nonce, ok := h.share(w, r)
	if !ok {
		return
	}
	root, err := h.Core.ProveRoot(r.Context(), nonce, share)
	if err != nil {
		h.fail(w, r, "", err)
		return
	}
	out := rootGeneration(root.Proof)
	out.Complete = root.Encoded != ""
	out.EncodedToken, out.EncodedRootToken = root.Encoded, root.Encoded
	writeJSON(w, http.StatusOK, out)
}

func (h *Handler) rekey(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodGet:
		s, err := h.Core.Keeper.RekeyStatus(r.Context())
		if err != nil {
			h.fail(w, r, "", err)
			return
		}
		writeJSON(w, http.StatusOK, rekeyStatus(s))
	case isWrite(r):
		h.startRekey(w, r)
	case r.Method == http.MethodDelete:
		h.Core.Keeper.CancelRekey()
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

func (h *Handler) startRekey(w http.ResponseWriter, r *http.Request) {
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
	s, err := h.Core.Keeper.StartRekey(r.Context(), in.Shares, in.Threshold, in.Verify)
	if err != nil {
		h.fail(w, r, "", err)
		return
	}
	writeJSON(w, http.StatusOK, rekeyStatus(s))
}

func (h *Handler) rekeyUpdate(w http.ResponseWriter, r *http.Request) {
	share, nonce, ok := h.share(w, r)
	if !ok {
		return
	}
	s, keys, err := h.Core.Keeper.Rekey(r.Context(), nonce, share)
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

func (h *Handler) rekeyVerify(w http.ResponseWriter, r *http.Request) {
	if isWrite(r) {
		h.rekeyVerifyUpdate(w, r)
		return
	}
	switch r.Method {
	case http.MethodGet:
	case http.MethodDelete:
		h.Core.Keeper.ResetVerification()
	default:
		refuseMethod(w)
		return
	}
	s, err := h.Core.Keeper.RekeyStatus(r.Context())
	if err == nil && s.VerificationNonce == "" {
		err = logical.Invalid("no rekey verification in progress")
	}
	if err != nil {
		h.fail(w, r, "", err)
		return
	}
	writeJSON(w, http.StatusOK, verification(s))
}

func (h *Handler) rekeyVerifyUpdate(w http.ResponseWriter, r *http.Request) {
	share, nonce, ok := h.share(w, r)
	if !ok {
		return
	}
	s, done, err := h.Core.Keeper.VerifyRekey(r.Context(), nonce, share)
	switch {
	case err != nil:
		h.fail(w, r, "", err)
	case done:
		writeJSON(w, http.StatusOK, map[string]any{"nonce": nonce, "complete": true})
	default:
		writeJSON(w, http.StatusOK, verification(s))
	}
}
