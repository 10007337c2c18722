package approle

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestWhatASecretIDIsIssuedWith(t *testing.T) {
	tests := []struct {
		name, role, body string
		ttl, uses        float64
	}{
		{"without limits", ``, ``, 0, 0},
		{"the role's limits", `{"secret_id_ttl": 600, "secret_id_num_uses": 40}`, ``, 600, 40},
		{"its own below the role's", `{"secret_id_ttl": 600, "secret_id_num_uses": 40}`, `{"ttl": "1m", "num_uses": "3"}`, 60, 3},
		{"its own as large as the role's", `{"secret_id_ttl": 600, "secret_id_num_uses": 40}`, `{"ttl": 600, "num_uses": 40}`, 600, 40},
		{"its own where the role has none", ``, `{"ttl": 60, "num_uses": 3}`, 60, 3},
		{"a time that the mount cuts", ``, `{"ttl": "10000h"}`, 768 * 3600, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			h.Write("role/app", test.role)
			got := h.Write("role/app/secret-id", test.body)
			secret, accessor := got["secret_id"].(string), got["secret_id_accessor"].(string)
			if !uuidForm.MatchString(secret) || !uuidForm.MatchString(accessor) || secret == accessor {
				t.Error("secret id and accessor are not two random UUIDs")
			}
			delete(got, "secret_id")
			delete(got, "secret_id_accessor")
			if diff := cmp.Diff(map[string]any{"secret_id_ttl": test.ttl, "secret_id_num_uses": test.uses}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSecretIDsThatAreNotIssued(t *testing.T) {
	const role = `{"secret_id_ttl": 600, "secret_id_num_uses": 40, "secret_id_bound_cidrs": "10.0.0.0/8", "token_bound_cidrs": "10.1.0.0/16"}`
	tests := []struct{ name, role, body, want string }{
		{"more uses than the role's", role, `{"num_uses": 41}`, "num_uses cannot be higher than the role's secret_id_num_uses"},
		{"endless uses", role, `{"num_uses": 0}`, "num_uses cannot be higher than the role's secret_id_num_uses"},
		{"negative uses", ``, `{"num_uses": -1}`, "num_uses cannot be negative"},
		{"a longer life than the role's", role, `{"ttl": 601}`, "ttl cannot be longer than the role's secret_id_ttl"},
		{"an endless life", role, `{"ttl": 0}`, "ttl cannot be longer than the role's secret_id_ttl"},
		{"networks outside the role's", role, `{"cidr_list": "10.0.0.0/8,11.0.0.0/8"}`, "should be a subset of CIDR blocks on the role"},
		{"a network larger than the role's", role, `{"cidr_list": "10.0.0.0/7"}`, "should be a subset"},
		{"token networks outside the role's", role, `{"token_bound_cidrs": "10.2.0.0/16"}`, "should be a subset"},
		{"networks that are none", ``, `{"cidr_list": "x"}`, "invalid CIDR blocks"},
		{"token networks that are none", ``, `{"token_bound_cidrs": "x"}`, "invalid CIDR blocks"},
		{"metadata that are no object", ``, `{"metadata": "[1]"}`, "metadata"},
		{"metadata that are not of texts", ``, `{"metadata": "{\"a\": {}}"}`, "metadata"},
		{"a role that needs none", `{"bind_secret_id": false, "secret_id_bound_cidrs": "10.0.0.0/8"}`, ``, "bind_secret_id is not set on the role"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			h.Write("role/app", test.role)
			h.Refused(logical.Write, "role/app/secret-id", test.body, logical.ErrInvalid, test.want)
			h.Refused(logical.List, "role/app/secret-id", "", logical.ErrNotFound, "")
		})
	}
}

func TestLookups(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", "")
	secret, accessor := h.issue("app", `{"metadata": "{\"tag\": \"production\", \"n\": 12345678901234567890}",
		"cidr_list": "10.0.0.0/8", "token_bound_cidrs": "10.1.0.0/16", "ttl": 60, "num_uses": 3}`)
	want := map[string]any{
		"secret_id_accessor": accessor, "secret_id_num_uses": 3.0, "secret_id_ttl": 60.0,
		"creation_time": "2026-03-01T12:00:00.0000005Z", "last_updated_time": "2026-03-01T12:00:00.0000005Z",
		"expiration_time": "2026-03-01T12:01:00.0000005Z",
		"metadata":        map[string]any{"tag": "production", "n": "12345678901234567890"},
		"cidr_list":       []any{"10.0.0.0/8"}, "token_bound_cidrs": []any{"10.1.0.0/16"},
	}
	check := func(t *testing.T, want map[string]any, secret, accessor string) {
		t.Helper()
		if diff := cmp.Diff(want, h.Write("role/app/secret-id/lookup", credentials("", secret))); diff != "" {
			t.Errorf("by secret id: %s", diff)
		}
		if diff := cmp.Diff(want, h.Write("role/app/secret-id-accessor/lookup", `{"secret_id_accessor": "`+accessor+`"}`)); diff != "" {
			t.Errorf("by accessor: %s", diff)
		}
	}
	t.Run("after issue", func(t *testing.T) { check(t, want, secret, accessor) })
	t.Run("after use", func(t *testing.T) {
		h.Now = h.Now.Add(time.Second)
		h.mustLogin(h.roleID("app"), secret)
		want["secret_id_num_uses"], want["last_updated_time"] = 2.0, "2026-03-01T12:00:01.0000005Z"
		check(t, want, secret, accessor)
	})
	t.Run("without anything set", func(t *testing.T) {
		secret, accessor := h.issue("app", "")
		check(t, map[string]any{
			"secret_id_accessor": accessor, "secret_id_num_uses": 0.0, "secret_id_ttl": 0.0,
			"creation_time": "2026-03-01T12:00:01.0000005Z", "last_updated_time": "2026-03-01T12:00:01.0000005Z",
			"expiration_time": "0001-01-01T00:00:00Z", "metadata": map[string]any{},
			"cidr_list": []any{}, "token_bound_cidrs": []any{},
		}, secret, accessor)
	})
}

func TestLookupsOfWhatIsNotThere(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", "")
	h.Write("role/other", "")
	foreign, foreignAccessor := h.issue("other", "")
	dead, deadAccessor := h.issue("app", `{"ttl": 60}`)
	h.Now = h.Now.Add(time.Minute)
	for name, secret := range map[string]string{"unknown": "x", "of another role": foreign, "expired": dead} {
		t.Run(name, func(t *testing.T) {
			for _, what := range []string{"lookup", "destroy"} {
				if resp, err := h.Call(logical.Write, "role/app/secret-id/"+what, credentials("", secret)); resp != nil || err != nil {
					t.Errorf("%s: answer %+v, error %v", what, resp, err)
				}
			}
		})
	}
	for name, accessor := range map[string]string{"unknown": "x", "of another role": foreignAccessor, "expired": deadAccessor} {
		t.Run("accessor "+name, func(t *testing.T) {
			for _, what := range []string{"lookup", "destroy"} {
				h.Refused(logical.Write, "role/app/secret-id-accessor/"+what, `{"secret_id_accessor": "`+accessor+`"}`,
					logical.ErrNotFound, `failed to find accessor entry for secret_id_accessor`)
			}
		})
	}
	h.Refused(logical.Write, "role/app/secret-id/lookup", "", logical.ErrInvalid, "missing secret_id")
	h.Refused(logical.Write, "role/app/secret-id-accessor/lookup", "", logical.ErrInvalid, "missing secret_id_accessor")
	h.mustLogin(h.roleID("other"), foreign)
}

func TestListingsAreOfLivingSecretIDs(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", "")
	h.Refused(logical.List, "role/app/secret-id", "", logical.ErrNotFound, "")
	_, first := h.issue("app", "")
	_, brief := h.issue("app", `{"ttl": 60}`)
	own := h.Write("role/app/custom-secret-id", `{"secret_id": "own"}`)["secret_id_accessor"].(string)
	for _, want := range [][]string{{first, brief, own}, {first, own}} {
		slices.Sort(want)
		var got []string
		for _, key := range h.Must(logical.List, "role/app/secret-id", "")["keys"].([]any) {
			got = append(got, key.(string))
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		h.Now = h.Now.Add(time.Minute)
	}
}

func TestWhatIsDestroyedIsOfNoUseAndLeavesNothing(t *testing.T) {
	for _, op := range []logical.Op{logical.Write, logical.Delete} {
		h := newHouse(t)
		h.Write("role/app", "")
		before := len(h.Keys())
		roleID := h.roleID("app")
		one, _ := h.issue("app", `{"ttl": 60}`)
		two, accessor := h.issue("app", `{"num_uses": 3}`)
		h.Must(op, "role/app/secret-id/destroy", credentials("", one))
		h.Must(op, "role/app/secret-id-accessor/destroy", `{"secret_id_accessor": "`+accessor+`"}`)
		for _, secret := range []string{one, two} {
			if _, err := h.login(roleID, secret); err != errCredentials {
				t.Errorf("%s: login: %v", op, err)
			}
		}
		if got := h.Keys(); len(got) != before {
			t.Errorf("%s: rows %q", op, got)
		}
	}
}

func TestCustomSecretIDs(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", "")
	h.Write("role/other", "")
	roleID := h.roleID("app")
	own := func(role, body string) map[string]any { return h.Write("role/"+role+"/custom-secret-id", body) }
	got := own("app", `{"secret_id": " hunter2 ", "ttl": 60, "metadata": "{\"a\":\"b\"}"}`)
	if got["secret_id"] != "hunter2" || got["secret_id_ttl"] != 60.0 || got["secret_id_num_uses"] != 0.0 {
		t.Errorf("answer %v", got)
	}
	if auth := h.mustLogin(roleID, "hunter2"); auth.Metadata["a"] != "b" {
		t.Errorf("metadata %v", auth.Metadata)
	}
	own("other", `{"secret_id": "hunter2"}`) // each role has its own
	h.Refused(logical.Write, "role/app/custom-secret-id", `{"secret_id": "hunter2"}`, logical.ErrInvalid, "SecretID is already registered")
	h.Refused(logical.Write, "role/app/custom-secret-id", `{"secret_id": " "}`, logical.ErrInvalid, "missing secret_id")

	t.Run("one that has expired can be issued again", func(t *testing.T) {
		h.Now = h.Now.Add(time.Minute)
		again := own("app", `{"secret_id": "hunter2", "ttl": 120}`)
		h.mustLogin(roleID, "hunter2")
		h.Write("tidy/secret-id", "")
		h.mustLogin(roleID, "hunter2")
		keys := h.Must(logical.List, "role/app/secret-id", "")["keys"]
		if diff := cmp.Diff([]any{again["secret_id_accessor"]}, keys); diff != "" {
			t.Error(diff)
		}
		h.Refused(logical.Write, "role/app/secret-id-accessor/lookup", `{"secret_id_accessor": "`+got["secret_id_accessor"].(string)+`"}`, logical.ErrNotFound, "")
	})
}

// The text of a secret id is nowhere: neither in a key nor in a value.
func TestSecretIDsAreNotStored(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", "")
	secret, _ := h.issue("app", `{"ttl": 60}`)
	h.Write("role/app/custom-secret-id", `{"secret_id": "correct-horse", "ttl": 60, "num_uses": 5}`)
	h.mustLogin(h.roleID("app"), "correct-horse")
	for _, e := range h.Rows() {
		for _, text := range []string{secret, "correct-horse"} {
			if strings.Contains(e.Key, text) || strings.Contains(string(e.Value), text) {
				t.Errorf("a secret id is in the row %.4q", e.Key)
			}
		}
	}
}

func TestRecordsOfAnotherVersionAreRefused(t *testing.T) {
	h := newHouse(t)
	h.Write("role/app", "")
	roleID := h.roleID("app")
	secret, _ := h.issue("app", "")
	h.Change(func(part storage.Part) error {
		for e, err := range part.Scan(t.Context(), storage.Plain("sid"), "") {
			if err != nil {
				return err
			}
			var record map[string]any
			if err := json.Unmarshal(e.Value, &record); err != nil {
				return err
			}
			record["v"] = 99
			value, err := json.Marshal(record)
			if err != nil {
				return err
			}
			part.Put(e.Key, value)
		}
		return nil
	})
	if _, err := h.login(roleID, secret); err == nil || !strings.Contains(err.Error(), "version 99 is newer") {
		t.Errorf("got %v", err)
	}
}
