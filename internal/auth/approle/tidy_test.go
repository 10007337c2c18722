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
	h.t.Helper()
	for n := 1; ; n++ {
		resp, err := h.call(logical.Write, "tidy/secret-id", "")
		if err != nil {
			h.t.Fatal(err)
		}
		if len(resp.Warnings) != 1 || !strings.HasPrefix(resp.Warnings[0], "Tidy operation successfully started.") || n > 1000 {
			h.t.Fatalf("warnings %q", resp.Warnings)
		}
		if strings.Contains(resp.Warnings[0], "finished") {
			return n
		}
	}
}

func TestTidyRemovesWhatHasExpired(t *testing.T) {
	h := newHouse(t)
	h.write("role/app", "")
	forever, _ := h.issue("app", "")
	longer, _ := h.issue("app", `{"ttl": "2m"}`)
	before := h.rows()
	const many = 100
	for i := range many {
		if i%2 == 0 {
			h.issue("app", `{"ttl": "1m"}`)
		} else {
			h.write("role/app/custom-secret-id", fmt.Sprintf(`{"secret_id": "own%d", "ttl": "1m"}`, i))
		}
	}
	h.tidyAll()
	if got := len(h.rows()); got != len(before)+3*many {
		t.Errorf("%d rows before the time", got)
	}
	h.now = h.now.Add(time.Minute + time.Second)
	if n := h.tidyAll(); n < 2 {
		t.Errorf("done with %d commits", n)
	}
	if got := h.rows(); !slices.Equal(got, before) {
		t.Errorf("%d rows, want %d", len(got), len(before))
	}
	h.mustLogin(h.roleID("app"), forever)
	h.mustLogin(h.roleID("app"), longer)
}

func TestExpiredRowsDoNotPileUp(t *testing.T) {
	h := newHouse(t)
	h.write("role/app", `{"secret_id_ttl": "1s"}`)
	for range 200 {
		h.issue("app", "")
		h.now = h.now.Add(3 * time.Second)
	}
	if got := len(h.rows()); got > 2+2*3 {
		t.Errorf("%d rows", got)
	}
}

func TestLoginsSweep(t *testing.T) {
	h := newHouse(t)
	h.write("role/app", "")
	roleID := h.roleID("app")
	good, _ := h.issue("app", "")
	before := len(h.rows())
	for range 5 {
		h.issue("app", `{"ttl": "1m"}`)
	}
	h.now = h.now.Add(time.Hour)
	for range 3 {
		h.mustLogin(roleID, good)
	}
	if got := len(h.rows()); got != before {
		t.Errorf("%d rows, want %d", got, before)
	}
}

func TestADeletedRolesSecretIDsAreDeadAtOnce(t *testing.T) {
	h := newHouse(t)
	const many = 200
	var secrets [many]string
	h.write("role/app", `{"role_id": "rid"}`)
	for i := range secrets {
		body := `{"ttl": "1h"}`
		if i%2 == 0 {
			body = `{"num_uses": 5}`
		}
		secrets[i], _ = h.issue("app", body)
	}
	h.must(logical.Delete, "role/app", "")
	if len(h.rows()) < many {
		t.Errorf("all gone in one commit: %d rows", len(h.rows()))
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
	h.write("role/app", `{"role_id": "rid"}`)
	none("after a role of the same name and role id was made")
	h.refused(logical.List, "role/app/secret-id", "", logical.ErrNotFound, "")
	h.tidyAll()
	if got := h.rows(); len(got) != 2 { // the role and its role id
		t.Errorf("%d rows after tidy", len(got))
	}
	secret, _ := h.issue("app", "")
	h.mustLogin("rid", secret)
}

func TestManyDeletedRolesAreTidied(t *testing.T) {
	h := newHouse(t)
	for i := range 300 {
		name := fmt.Sprintf("role/r%d", i)
		h.write(name, "")
		h.must(logical.Delete, name, "")
	}
	h.tidyAll()
	if got := h.rows(); len(got) > 0 {
		t.Errorf("%d rows", len(got))
	}
}

// A secret id that is issued while its role is deleted is either there before,
// and goes with it, or is not issued.
func TestIssueMeetsDeletion(t *testing.T) {
	t.Run("the deletion is first", func(t *testing.T) {
		h := newHouse(t)
		h.write("role/app", "")
		first := true
		_, err := h.callAnd(t.Context(), logical.Write, "role/app/secret-id", "", func(*storage.Tx) {
			if first {
				h.must(logical.Delete, "role/app", "")
			}
			first = false
		})
		if !errors.Is(err, logical.ErrInvalid) {
			t.Errorf("got %v", err)
		}
		h.tidyAll()
		if got := h.rows(); len(got) > 0 {
			t.Errorf("rows %q", got)
		}
	})
	t.Run("the issue is first", func(t *testing.T) {
		h := newHouse(t)
		h.write("role/app", "")
		first := true
		_, err := h.callAnd(t.Context(), logical.Delete, "role/app", "", func(*storage.Tx) {
			if first {
				h.issue("app", "")
			}
			first = false
		})
		if err != nil {
			t.Error(err)
		}
		h.tidyAll()
		if got := h.rows(); len(got) > 0 {
			t.Errorf("rows %q", got)
		}
	})
}

// A sweep must not take away a custom secret id that is issued again meanwhile.
func TestASweepMeetsANewIssue(t *testing.T) {
	h := newHouse(t)
	h.write("role/app", "")
	roleID := h.roleID("app")
	h.write("role/app/custom-secret-id", `{"secret_id": "own", "ttl": "1m"}`)
	h.now = h.now.Add(time.Hour)
	first := true
	_, err := h.callAnd(t.Context(), logical.Write, "tidy/secret-id", "", func(*storage.Tx) {
		if first {
			h.write("role/app/custom-secret-id", `{"secret_id": "own", "ttl": "1m"}`)
		}
		first = false
	})
	if err != nil {
		t.Fatal(err)
	}
	h.mustLogin(roleID, "own")
}
