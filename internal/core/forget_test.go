package core_test

import (
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
)

// A mount whose system will never come back can be disabled after its leases were
// revoked by force; what that leaves behind is told.
func TestAMountCanBeForcedToGo(t *testing.T) {
	h, w := newWorld(t)
	h.must(logical.Read, "world/creds", "")
	w.fails(errAway)
	if _, err := h.ask(rootText, logical.Delete, "sys/mounts/world", ""); err == nil {
		t.Fatal("the mount has gone, and left its user behind")
	}
	if h.Mounts().At("world/") != nil || h.Mounts().Leaving("world/") == nil {
		t.Fatal("the mount is not leaving")
	}
	a := h.must(logical.Write, "sys/leases/revoke-force/world", "")
	told := strings.Join(a.Warnings, "\n")
	if len(a.Warnings) != 2 || !strings.Contains(told, "what lease world/creds/") || !strings.Contains(told, "the user of the world may still be there") {
		t.Errorf("told %q", a.Warnings)
	}
	if !strings.Contains(h.log.String(), "left behind outside, by force") {
		t.Error("the log does not tell")
	}
	w.fails(errAway)
	h.must(logical.Write, "sys/leases/revoke-force/world/creds", "") // not the whole mount
	if w.state() == "" || w.drop("x") == nil {
		t.Error("the engine was asked to forget for a part of its mount")
	}
	w.fails(nil)
	h.must(logical.Delete, "sys/mounts/world", "")
	if h.Mounts().Leaving("world/") != nil {
		t.Error("the mount is still there")
	}
	if a := h.must(logical.Write, "sys/leases/revoke-force/world", ""); len(a.Warnings) != 0 {
		t.Errorf("there is nothing left, told %q", a.Warnings)
	}
}
