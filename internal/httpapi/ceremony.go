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
