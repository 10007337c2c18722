package core_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cofferhq/coffer/internal/core"
	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/lease"
	"github.com/cofferhq/coffer/internal/logical"
)

// ownLine is what these tests read of a line.
type ownLine struct {
	Type    string
	Error   string
	Request struct{ ID, Operation, Path string }

	Response struct {
		Auth   struct{ Accessor string }
		Data   struct{ Attempt int }
		Secret struct {
			LeaseID string `json:"lease_id"`
		}
	}
}

// linesOf returns the lines of the audit at file that are about path.
func linesOf(t *testing.T, file, path string) (all []ownLine) {
	t.Helper()
	for text := range strings.Lines(readAll(t, file)) {
		var l ownLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		if l.Request.Path == path {
			all = append(all, l)
		}
	}
	return all
}

// wantPair fails unless the audit has one request for path, and its answer.
func wantPair(t *testing.T, file, path string) ownLine {
	t.Helper()
	all := linesOf(t, file, path)
	if len(all) != 2 || all[0].Type != "request" || all[1].Type != "response" || all[0].Request.ID != all[1].Request.ID {
		t.Fatalf("%s: %+v", path, all)
	}
	return all[1]
}

func TestAnExpiryIsOnRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		defer s.end()
		log := filepath.Join(t.TempDir(), "audit.log")
		s.must(logical.Write, "sys/audit/file", `{"type":"file","options":{"file_path":"`+log+`","hmac_accessor":"false"}}`)
		accessor := s.must(logical.Write, "auth/token/create", `{"policies":["default"],"ttl":"1h"}`).Auth.Accessor
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if all := linesOf(t, log, "sys/coffer/due/token"); len(all) > 0 {
			t.Errorf("before its end: %+v", all)
		}
		time.Sleep(31 * time.Minute)
		synctest.Wait()
		got := wantPair(t, log, "sys/coffer/due/token")
		if got.Response.Auth.Accessor != accessor || got.Response.Data.Attempt != 1 || got.Error != "" {
			t.Errorf("%+v", got)
		}
	})
}

func TestUnsealingSealingAndReloadingAreOnRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		defer s.end()
		log := filepath.Join(t.TempDir(), "audit.log")
		s.must(logical.Write, "sys/audit/file", `{"type":"file","options":{"file_path":"`+log+`"}}`)
		s.RecordReload(t.Context(), errors.New("open /etc/coffer/key.pem: permission denied"))
		if got := wantPair(t, log, "sys/coffer/reload"); got.Error != "internal error" || got.Request.Operation != "update" {
			t.Errorf("%+v", got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantPair(t, log, "sys/coffer/seal")
		s.open()
		wantPair(t, log, "sys/coffer/unseal")
	})
}

func TestARevocationThatIsTriedAgainIsOnRecord(t *testing.T) {
	h := newHouse(t)
	log := filepath.Join(t.TempDir(), "audit.log")
	h.must(logical.Write, "sys/audit/file", `{"type":"file","options":{"file_path":"`+log+`"}}`)
	id := h.must(logical.Read, "lend/creds", "").LeaseID
	h.failFree.Store(true)
	if _, err := h.ask(rootText, logical.Write, "sys/leases/revoke-prefix/lend", ""); err == nil {
		t.Fatal("the engine revoked it")
	}
	item := due.Item{At: h.now(), Kind: lease.Kind, Namespace: core.RootNamespace, Ref: id[strings.LastIndexByte(id, '/')+1:], Attempts: 1}
	if err := core.ExpireLease(h.Core, t.Context(), item); err == nil {
		t.Fatal("the engine revoked it")
	}
	got := wantPair(t, log, "sys/coffer/due/lease")
	if got.Response.Secret.LeaseID != id || got.Response.Data.Attempt != 2 || got.Error == "" || strings.Contains(got.Error, "database") {
		t.Errorf("%+v", got)
	}
	h.failFree.Store(false)
	if err := core.ExpireLease(h.Core, t.Context(), item); err != nil {
		t.Fatal(err)
	}
	all := linesOf(t, log, "sys/coffer/due/lease")
	if len(all) != 4 || all[3].Error != "" {
		t.Errorf("%+v", all)
	}
	if err := core.ExpireLease(h.Core, t.Context(), item); err != nil {
		t.Fatal(err)
	}
	if n := len(linesOf(t, log, "sys/coffer/due/lease")); n != 4 {
		t.Errorf("nothing was done, and %d lines tell of it", n-4)
	}
}

// A credential that should be dead must die, recorded or not.
func TestAnExpiryThatCannotBeRecordedIsDoneEvenSo(t *testing.T) {
	h := newHouse(t)
	id := h.must(logical.Read, "lend/creds", "").LeaseID
	link := h.auditTo()
	h.breakAudit(link)
	h.clock.Add(int64(1000 * 24 * time.Hour / time.Second))
	item := due.Item{At: h.now(), Kind: lease.Kind, Namespace: core.RootNamespace, Ref: id[strings.LastIndexByte(id, '/')+1:]}
	if err := core.ExpireLease(h.Core, t.Context(), item); err != nil {
		t.Fatal(err)
	}
	if n := h.freed.Load(); n != 1 {
		t.Errorf("freed %d times", n)
	}
}
