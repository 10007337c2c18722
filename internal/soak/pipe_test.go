package soak

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cofferhq/coffer/client"
)

// A pipe whose reader stands still fills up. From then on it records nothing: that
// is no harm while another device does, and refuses requests, soon, if none does.
func TestAnAuditDeviceThatBlocksHoldsUpNobody(t *testing.T) {
	h := open(t, ownBuild, t.TempDir())
	path := filepath.Join(h.Dir, "audit.pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	h.write(t, "sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
	h.write(t, "sys/audit/file", map[string]any{"type": "file", "options": map[string]any{"file_path": filepath.Join(h.Dir, "audit.log")}})
	h.write(t, "sys/audit/pipe", map[string]any{"type": "file", "options": map[string]any{"file_path": path}})

	o := newOrdinary(t, h)
	for range 30 { // some 200 KiB of lines: the pipe holds 64
		o.use(t.Context())
	}
	if t.Failed() {
		return
	}
	if _, err := h.root.Delete(t.Context(), "sys/audit/file"); err == nil || client.StatusOf(err) != http.StatusInternalServerError {
		t.Errorf("a request whose answer no device records: %v", err)
	}
	one := client.Request{Path: "secret/data/ordinary-1"}
	if _, err := o.clients[0].Do(t.Context(), one); client.StatusOf(err) != http.StatusInternalServerError {
		t.Errorf("a request that no device records: %v", err)
	}

	drained := make(chan error, 1) // when nobody writes any more
	go func() {
		_, err := io.Copy(io.Discard, reader)
		drained <- err
	}()
	h.await(t, "the pipe to be of use again", func() bool {
		_, err := o.clients[0].Do(t.Context(), one)
		return err == nil
	})
	if err := h.Process().Stop(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	h.noRace(t)
}
