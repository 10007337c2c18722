package approle

import (
	"encoding/json"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/logical/mounttest"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

// house is the method over a store.
type house struct{ *mounttest.Mount }

func newHouse(t testing.TB) *house {
	t.Helper()
	e, err := Kind.New(logical.MountPoint{})
	if err != nil {
		t.Fatal(err)
	}
	return &house{mounttest.New(t, e, inmem.New())}
}

// issue returns a new secret id of the role, and its accessor.
func (h *house) issue(role, body string) (secretID, accessor string) {
	h.T.Helper()
	data := h.Write("role/"+role+"/secret-id", body)
	return data["secret_id"].(string), data["secret_id_accessor"].(string)
}

func (h *house) roleID(role string) string {
	h.T.Helper()
	return h.Read("role/" + role + "/role-id")["role_id"].(string)
}

func credentials(roleID, secretID string) string {
	raw, err := json.Marshal(map[string]string{"role_id": roleID, "secret_id": secretID})
	if err != nil {
		panic(err) // texts always marshal
	}
	return string(raw)
}

func (h *house) login(roleID, secretID string) (*logical.Auth, error) {
	return h.Login("login", credentials(roleID, secretID))
}

func (h *house) mustLogin(roleID, secretID string) *logical.Auth {
	h.T.Helper()
	return h.MustLogin("login", credentials(roleID, secretID))
}
