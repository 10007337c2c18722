package approle

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// tidyAll tidies until nothing is left and returns how often that took.
func (h *house) tidyAll() int {
	h.T.Helper()
	for n := 1; ; n++ {
		resp, err := h.Call(logical.Write, "tidy/secret-id", "")
		if err != nil {
			h.T.Fatal(err)
		}
		if len(resp.Warnings) != 1 || !strings.HasPrefix(resp.Warnings[0], "Tidy operation successfully started.") || n > 1000 {
			h.T.Fatalf("warnings %q", resp.Warnings)
		}
		if strings.Contains(resp.Warnings[0], "finished") {
			return n
		}
	}
}

func TestTidyRemovesWhatHasExpired(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", "")
	forever, _ := h.issue("app", "")
	longer, _ := h.issue("app", `{"ttl": "2m"}`)
	before := h.Keys()
	const many = 100
	for i := range many {
		if i%2 == 0 {
			h.issue("app", `{"ttl": "1m"}`)
		} else {
			h.Write("role/app/custom-secret-id", fmt.Sprintf(`{"secret_id": "own%d", "ttl": "1m"}`, i))
		}
	}
	h.tidyAll()
	if got := len(h.Keys()); got != len(before)+3*many {
		t.Errorf("%d rows before the time", got)
	}
	h.Now = h.Now.Add(time.Minute + time.Second)
	if n := h.tidyAll(); n < 2 {
		t.Errorf("done with %d commits", n)
	}
	if got := h.Keys(); !slices.Equal(got, before) {
		t.Errorf("%d rows, want %d", len(got), len(before))
	}
	h.mustLogin(h.roleID("app"), forever)
	h.mustLogin(h.roleID("app"), longer)
}

func TestExpiredRowsDoNotPileUp(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", `{"secret_id_ttl": "1s"}`)
	for range 200 {
		h.issue("app", "")
		h.Now = h.Now.Add(3 * time.Second)
	}
	if got := len(h.Keys()); got > 2+2*3 {
		t.Errorf("%d rows", got)
	}
}

func TestLoginsSweep(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", "")
	roleID := h.roleID("app")
	good, _ := h.issue("app", "")
	before := len(h.Keys())
	for range 5 {
		h.issue("app", `{"ttl": "1m"}`)
	}
	h.Now = h.Now.Add(time.Hour)
	for range 3 {
		h.mustLogin(roleID, good)
	}
	if got := len(h.Keys()); got != before {
		t.Errorf("%d rows, want %d", got, before)
	}
}

func TestADeletedRolesSecretIDsAreDeadAtOnce(t *testing.T) {
	h := newHouse(t)
	const many = 200
	var secrets [many]string
	h.Write("role/app", `{"role_id": "rid"}`)
	for i := range secrets {
		body := `{"ttl": "1h"}`
		if i%2 == 0 {
			body = `{"num_uses": 5}`
		}
		secrets[i], _ = h.issue("app", body)
	}
	h.Must(logical.Delete, "role/app", "")
	if len(h.Keys()) < many {
		t.Errorf("all gone in one commit: %d rows", len(h.Keys()))
	}
	none := func(when string) {
		t.Helper()
		for _, secret := range secrets {
			if _, err := h.login("rid", secret); !errors.Is(err, errCredentials) {
				t.Fatalf("%s: %v", when, err)
			}
		}
	}
	none("after the deletion")
	h.Write("role/app", `{"role_id": "rid"}`)
	none("after a role of the same name and role id was made")
	h.Refused(logical.List, "role/app/secret-id", "", logical.ErrNotFound, "")
	h.tidyAll()
	if got := h.Keys(); len(got) != 2 { // the role and its role id
		t.Errorf("%d rows after tidy", len(got))
	}
	secret, _ := h.issue("app", "")
	h.mustLogin("rid", secret)
}

func TestManyDeletedRolesAreTidied(t *testing.T) {
	h := newHouse(t)
	for i := range 300 {
		name := fmt.Sprintf("role/r%d", i)
		h.Write(name, "")
		h.Must(logical.Delete, name, "")
	}
	h.tidyAll()
	if got := h.Keys(); len(got) > 0 {
		t.Errorf("%d rows", len(got))
	}
}

// A secret id that is issued while its role is deleted is either there before,
// and goes with it, or is not issued.
func TestIssueMeetsDeletion(t *testing.T) {
	t.Run("the deletion is first", func(t *testing.T) {
		h := newHouse(t)
		h.Write("role/app", "")
		first := true
		_, err := h.CallAnd(t.Context(), logical.Write, "role/app/secret-id", "", func(*storage.Tx) {
			if first {
				h.Must(logical.Delete, "role/app", "")
			}
			first = false
		})
		if !errors.Is(err, logical.ErrInvalid) {
			t.Errorf("got %v", err)
		}
		h.tidyAll()
		if got := h.Keys(); len(got) > 0 {
			t.Errorf("rows %q", got)
		}
	})
	t.Run("the issue is first", func(t *testing.T) {
		h := newHouse(t)
		h.Write("role/app", "")
		first := true
		_, err := h.CallAnd(t.Context(), logical.Delete, "role/app", "", func(*storage.Tx) {
			if first {
				h.issue("app", "")
			}
			first = false
		})
		if err != nil {
			t.Error(err)
		}
		h.tidyAll()
		if got := h.Keys(); len(got) > 0 {
			t.Errorf("rows %q", got)
		}
	})
}

// A sweep must not take away a custom secret id that is issued again meanwhile.
func TestASweepMeetsANewIssue(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", "")
	roleID := h.roleID("app")
	h.Write("role/app/custom-secret-id", `{"secret_id": "own", "ttl": "1m"}`)
	h.Now = h.Now.Add(time.Hour)
	first := true
	_, err := h.CallAnd(t.Context(), logical.Write, "tidy/secret-id", "", func(*storage.Tx) {
		if first {
			h.Write("role/app/custom-secret-id", `{"secret_id": "own", "ttl": "1m"}`)
		}
		first = false
	})
	if err != nil {
		t.Fatal(err)
	}
	h.mustLogin(roleID, "own")
}
