package client

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/api"
)

const (
	healthCoffer = `200 {"version":"1.19.0+coffer.0.1.0"}`
	healthVault  = `200 {"version":"1.19.0"}`
	secretOne    = `{"request_id":"r","data":{"n":12345678901234567890}}`
)

var twoReads = []api.BatchRead{{Path: "secret/data/a", Version: 3}, {Path: "secret/data/b", IfNoneMatch: `W/"1"`}}

func TestABatchIsOneRequestToCoffer(t *testing.T) {
	f := &fake{answers: []string{
		healthCoffer,
		`200 {"request_id":"r","data":{"responses":[{"status":200,"etag":"W/\"3\"","answer":` + secretOne + `},{"status":304,"etag":"W/\"1\""}]}}`,
		`200 {"request_id":"r","data":{"responses":[{"status":403,"errors":["permission denied"],"hint":"ask"},{"status":404}]}}`,
	}}
	c := f.client(t, Config{Token: "t"})
	got, err := c.Batch(t.Context(), twoReads)
	if err != nil {
		t.Fatal(err)
	}
	if s := got[0].Secret; got[0].Err != nil || s.ETag != `W/"3"` || s.Data["n"] == nil {
		t.Errorf("%+v", got[0])
	}
	if !errors.Is(got[1].Err, ErrNotModified) {
		t.Errorf("%+v", got[1])
	}
	if got, err = c.WithToken("u").Batch(t.Context(), twoReads); err != nil {
		t.Fatal(err)
	}
	var refused *Error
	if !errors.As(got[0].Err, &refused) || refused.Hint != "ask" || refused.Path != "secret/data/a" || StatusOf(refused) != 403 {
		t.Errorf("%+v", got[0])
	}
	if got[1].Err != nil || got[1].Secret != nil {
		t.Errorf("%+v", got[1])
	}
	if n := len(f.seen); n != 3 || f.seen[0].Header.Get("X-Vault-Token") != "" || f.seen[2].URL.Path != "/v1/sys/coffer/batch" {
		t.Errorf("%d requests, the server was asked again what it is, or with a token", n)
	}
}

func TestOtherServersSeeNoBatch(t *testing.T) {
	one := "200 " + secretOne
	for _, tt := range []struct {
		name    string
		answers []string
		asked   []string // paths
	}{
		{"Vault", []string{healthVault, one, one}, []string{"sys/health", "secret/data/a", "secret/data/b"}},
		{"a proxy", []string{"403 no", one, one}, []string{"sys/health", "secret/data/a", "secret/data/b"}},
		{"a coffer that has none", []string{healthCoffer, `404 {"errors":["unsupported path"]}`, one, one},
			[]string{"sys/health", "sys/coffer/batch", "secret/data/a", "secret/data/b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{answers: tt.answers}
			got, err := f.client(t, Config{}).Batch(t.Context(), twoReads)
			if err != nil || len(got) != 2 || got[0].Err != nil || got[0].Secret == nil || got[1].Secret == nil {
				t.Fatalf("%+v, %v", got, err)
			}
			var asked []string
			for _, r := range f.seen {
				asked = append(asked, strings.TrimPrefix(r.URL.Path, "/v1/"))
			}
			for _, path := range tt.asked {
				if !strings.Contains(strings.Join(asked, " "), path) || len(asked) != len(tt.asked) {
					t.Errorf("asked %q", asked)
				}
			}
		})
	}
}

func TestOneReadIsNoBatch(t *testing.T) {
	f := &fake{answers: []string{"200 " + secretOne}}
	if got, err := f.client(t, Config{}).Batch(t.Context(), twoReads[:1]); err != nil || got[0].Secret == nil || len(f.seen) != 1 {
		t.Errorf("%+v, %v, %d requests", got, err, len(f.seen))
	}
}

func TestABatchThatFailsAsAWhole(t *testing.T) {
	f := &fake{answers: []string{healthCoffer, `400 {"errors":["no"]}`}}
	if _, err := f.client(t, Config{}).Batch(t.Context(), twoReads); StatusOf(err) != http.StatusBadRequest {
		t.Error(err)
	}
}

func TestReadKVUnlessItIsKnown(t *testing.T) {
	f := &fake{answers: []string{mountV2, "304 "}}
	_, err := f.client(t, Config{}).ReadKVUnless(t.Context(), "secret/db", 0, `W/"3.ab"`)
	if !errors.Is(err, ErrNotModified) || f.seen[1].Header.Get("If-None-Match") != `W/"3.ab"` || f.seen[0].Header.Get("If-None-Match") != "" {
		t.Errorf("%v, headers %v", err, f.seen[1].Header)
	}
}
