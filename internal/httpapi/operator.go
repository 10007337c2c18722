package httpapi

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/internal/custody"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/version"
)

// The paths of this file answer while the server is sealed, without a token and
// without the envelope.

// health answers with a status that load balancers understand; the query may
// choose another for each state.
func (h *Handler) health(w http.ResponseWriter, r *http.Request) {
	if !isRead(w, r) {
		return
	}
	s, err := h.Core.Status(r.Context())
	if err != nil {
		h.fail(w, r, "", err)
		return
	}
	code, choice := http.StatusOK, "activecode"
	switch {
	case !s.Initialized:
		code, choice = http.StatusNotImplemented, "uninitcode"
	case s.Sealed:
		code, choice = http.StatusServiceUnavailable, "sealedcode"
	}
	if text := r.URL.Query().Get(choice); text != "" {
		if code, err = strconv.Atoi(text); err != nil || code < 100 || code > 599 {
			writeErrors(w, http.StatusBadRequest, "", "bad value for "+choice)
			return
		}
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(code)
		return
	}
	writeJSON(w, code, api.Health{
		Initialized: s.Initialized, Sealed: s.Sealed,
		ReplicationPerformanceMode: "disabled", ReplicationDRMode: "disabled",
		ServerTimeUTC: h.Core.Now().Unix(), Version: version.Full(),
		ClusterName: h.clusterName(s), ClusterID: h.clusterID(s),
	})
}

// isRead answers 405 to what is not a read.
func isRead(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	writeErrors(w, http.StatusMethodNotAllowed, "", logical.ErrUnsupportedOp.Error())
	return false
}

func (h *Handler) clusterName(s custody.Status) string {
	if s.Sealed {
		return ""
	}
	return h.ClusterName
}

func (h *Handler) clusterID(s custody.Status) string {
	if s.Sealed {
		return ""
	}
	return h.Core.Barrier.ClusterID()
}

func (h *Handler) sealStatus(w http.ResponseWriter, r *http.Request) {
	if !isRead(w, r) {
		return
	}
	s, err := h.Core.Status(r.Context())
	if err != nil {
		h.fail(w, r, "", err)
		return
	}
	h.writeSealStatus(w, s)
}

func (h *Handler) writeSealStatus(w http.ResponseWriter, s custody.Status) {
	writeJSON(w, http.StatusOK, api.SealStatus{
		Type: s.Type, Initialized: s.Initialized, Sealed: s.Sealed, Threshold: s.Threshold, Shares: s.Shares,
		Progress: s.Progress, Nonce: s.Nonce, Version: version.Full(), BuildDate: version.BuildDate(),
		RecoverySeal: s.RecoverySeal, StorageType: h.StorageType,
		ClusterName: h.clusterName(s), ClusterID: h.clusterID(s),
	})
}

func (h *Handler) leader(w http.ResponseWriter, r *http.Request) {
	if !isRead(w, r) {
		return
	}
	writeJSON(w, http.StatusOK, api.Leader{ActiveTime: time.Time{}.Format(time.RFC3339)})
}

func (h *Handler) init(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		s, err := h.Core.Status(r.Context())
		if err != nil {
			h.fail(w, r, "", err)
			return
		}
		writeJSON(w, http.StatusOK, api.InitStatus{Initialized: s.Initialized})
	case http.MethodPut, http.MethodPost:
		h.initialize(w, r)
	default:
		writeErrors(w, http.StatusMethodNotAllowed, "", logical.ErrUnsupportedOp.Error())
	}
}

func (h *Handler) initialize(w http.ResponseWriter, r *http.Request) {
	var in api.InitRequest
	if err := h.decode(r, &in); err != nil {
		h.fail(w, r, "", err)
		return
	}
	if len(in.PGPKeys)+len(in.RecoveryPGPKeys) > 0 || in.RootTokenPGPKey != "" {
		h.fail(w, r, "", errPGP)
		return
	}
	result, err := h.Core.Init(r.Context(), custody.Params{
		Shares: in.SecretShares, Threshold: in.SecretThreshold,
		RecoveryShares: in.RecoveryShares, RecoveryThreshold: in.RecoveryThreshold,
	}, "")
	if err != nil {
		h.fail(w, r, "", err)
		return
	}
	out := api.InitResponse{RootToken: result.RootToken.RevealText()}
	out.Keys, out.KeysBase64 = texts(result.Keys)
	if len(result.RecoveryKeys) > 0 {
		out.RecoveryKeys, out.RecoveryKeysBase64 = texts(result.RecoveryKeys)
	}
	writeJSON(w, http.StatusOK, out)
}

// texts are shares as operators get them: in hex and in base64.
func texts(shares []secret.Bytes) (inHex, inBase64 []string) {
	inHex, inBase64 = []string{}, []string{}
	for _, s := range shares {
		inHex = append(inHex, hex.EncodeToString(s.Reveal()))
		inBase64 = append(inBase64, base64.StdEncoding.EncodeToString(s.Reveal()))
	}
	return inHex, inBase64
}

func (h *Handler) unseal(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut && r.Method != http.MethodPost {
		writeErrors(w, http.StatusMethodNotAllowed, "", logical.ErrUnsupportedOp.Error())
		return
	}
	var in api.UnsealRequest
	if err := h.decode(r, &in); err != nil {
		h.fail(w, r, "", err)
		return
	}
	s, err := h.unsealWith(r, in)
	if err != nil {
		h.fail(w, r, "", err)
		return
	}
	h.writeSealStatus(w, s)
}

func (h *Handler) unsealWith(r *http.Request, in api.UnsealRequest) (custody.Status, error) {
	if in.Reset {
		h.Core.Keeper.ResetUnseal()
		return h.Core.Status(r.Context())
	}
	if in.Key == "" {
		return custody.Status{}, logical.Invalid("'key' must be specified in request body as JSON, or 'reset' set to true")
	}
	share, err := parseShare(in.Key)
	if err != nil {
		return custody.Status{}, err
	}
	return h.Core.Unseal(r.Context(), share)
}

// parseShare reads a share as operators have it.
func parseShare(text string) ([]byte, error) {
	if text == "" {
		return nil, logical.Invalid("'key' must be specified in request body as JSON")
	}
	share, err := hex.DecodeString(text)
	if err != nil {
		if share, err = base64.StdEncoding.DecodeString(text); err != nil {
			return nil, logical.Invalid("'key' must be a valid hex or base64 string")
		}
	}
	return share, nil
}

// decode reads a body whose fields are v's; others are ignored.
func (h *Handler) decode(r *http.Request, v any) error {
	limit := int64(maxBareBody)
	if h.MaxBodyBytes >= 0 {
		limit = min(limit, h.MaxBodyBytes)
	}
	raw, err := h.body(r, limit)
	if err != nil || raw == nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return logical.Invalid("failed to parse JSON input: a field has the wrong type")
	}
	return nil
}
