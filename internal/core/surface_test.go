package core_test

import (
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
)

func TestHeadersAreRecordedAsTheOperatorWants(t *testing.T) {
	h := newHouse(t)
	link := h.auditTo()
	h.must(logical.Write, "sys/config/auditing/request-headers/X-Forwarded-For", `{"hmac":true}`)
	h.must(logical.Write, "sys/config/auditing/request-headers/x-correlation-id", ``)
	h.must(logical.Write, "sys/config/auditing/request-headers/X-Vault-Token", `{"hmac":false}`)
	call := h.call(rootText, logical.Read, "secret/none", "")
	call.Header = map[string][]string{
		"X-Forwarded-For": {"198.51.100.7"}, "X-Correlation-Id": {"order-66"}, "X-Vault-Token": {"very-secret"}, "User-Agent": {"browser"},
	}
	_, err := h.Handle(t.Context(), call)
	wantKind(t, err, logical.ErrNotFound)
	text := readAll(t, link)
	for _, never := range []string{"198.51.100.7", "very-secret", "browser", "user-agent"} {
		if strings.Contains(text, never) {
			t.Errorf("%q is on record", never)
		}
	}
	for _, want := range []string{`"x-correlation-id":["order-66"]`, `"x-forwarded-for":["hmac-sha256:`, `"x-vault-token":["hmac-sha256:`} {
		if n := strings.Count(text, want); n != 2 {
			t.Errorf("%s stands in %d lines, want in that before and that after", want, n)
		}
	}

	h.must(logical.Delete, "sys/config/auditing/request-headers/X-Correlation-ID", "")
	_, err = h.Handle(t.Context(), call)
	wantKind(t, err, logical.ErrNotFound)
	if n := strings.Count(readAll(t, link), "order-66"); n != 2 {
		t.Errorf("after it was deleted the header is in %d lines, want the 2 from before", n)
	}
}

func TestRequestsUnderWayAreListed(t *testing.T) {
	h := newHouse(t)
	token := h.policy("lend", `path "lend/creds" { capabilities = ["read"] }`)
	h.onLend = func(*logical.Request) {
		all := h.UnderWay()
		if len(all) != 1 {
			t.Fatalf("%d are under way, want one", len(all))
		}
		if u := all[0]; u.Path != "lend/creds" || u.Method != "GET" || !u.Start.Equal(h.now()) || u.Remote.Port() != 5000 {
			t.Errorf("%+v", u)
		}
	}
	call := h.call(token, logical.Read, "lend/creds", "")
	call.Method = "GET"
	if _, err := h.Handle(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	if all := h.UnderWay(); len(all) != 0 {
		t.Errorf("%d are still under way", len(all))
	}
}
