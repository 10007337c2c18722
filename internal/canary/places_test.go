package canary_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cofferhq/coffer/internal/storage/pebble"
)

// pages tell about the server.
var pages = []string{
	"sys/health", "sys/seal-status", "sys/init", "sys/leader", "sys/host-info", "sys/in-flight-req", "sys/config/state/sanitized",
	"sys/internal/specs/openapi", "sys/internal/ui/mounts", "sys/internal/ui/resultant-acl", "sys/internal/ui/namespaces",
	"sys/internal/ui/feature-flags", "sys/internal/counters/activity", "sys/internal/counters/requests", "sys/internal/counters/tokens",
	"sys/internal/inspect/router/root", "sys/mounts", "sys/auth", "sys/audit", "sys/key-status", "sys/rotate/config", "sys/ha-status",
	"sys/replication/status", "sys/experiments", "sys/plugins/catalog", "sys/leases", "sys/leases/count", "sys/quotas/config",
	"sys/config/auditing/request-headers", "sys/generate-root/attempt", "sys/rekey/init", "sys/pprof", "sys/pprof/goroutine?debug=2",
	"sys/pprof/heap?debug=1", "sys/pprof/cmdline", "sys/pprof/trace?seconds=1", "sys/raw/core", "sys/monitor", "sys/loggers", "sys/locked-users",
	"auth/token/lookup-self", "debug/pprof/goroutine?debug=2",
}

// lookAtPages reads what the server tells about itself.
func (w *world) lookAtPages() {
	w.t.Helper()
	for _, page := range pages {
		a := w.reveal("GET", page, "")
		// The caller's own look-up names the token it is about.
		if page != "auth/token/lookup-self" {
			w.saw(state, page, a.body)
		}
	}
	for _, list := range []string{"sys/version-history", "auth/token/accessors", "sys/policies/acl"} {
		w.saw(state, list, w.reveal("LIST", list, "").body)
	}
	for _, form := range []string{"", "?format=prometheus"} {
		a := w.must("GET", "sys/metrics"+form, "")
		if !strings.Contains(string(a.body), "vault_") && !strings.Contains(string(a.body), "coffer") {
			w.t.Errorf("sys/metrics%s has no metric: %s", form, a.body)
		}
		w.saw(metrics, "sys/metrics"+form, a.body)
	}
}

// lookAtLog takes what the server has printed in this life, and tells the log
// from the audit device that prints as well.
func (w *world) lookAtLog() {
	var log, record strings.Builder
	for line := range strings.Lines(w.process.Log()) {
		if strings.HasPrefix(line, `{"time":`) {
			record.WriteString(line)
			continue
		}
		log.WriteString(line)
	}
	if log.Len() == 0 || record.Len() == 0 {
		w.t.Errorf("the server has printed %d bytes of log and %d of audit", log.Len(), record.Len())
	}
	w.saw(logs, "server.log", []byte(log.String()))
	w.saw(records, "server.log", []byte(record.String()))
}

// lookAtFiles takes every file below the root and the folder in memory, but those
// of the log and the audit, to which there is only added.
func (w *world) lookAtFiles() {
	w.t.Helper()
	for _, root := range []string{w.root, w.shm} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) { // a file of the store, which tidies
				return nil
			}
			if err != nil {
				return err
			}
			w.saw(disk, "name of a file", []byte(path))
			if !d.Type().IsRegular() || path == filepath.Join(w.home, "server.log") || filepath.Dir(path) == w.path("audit") {
				return nil
			}
			content, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			w.saw(disk, path, content)
			return err
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// lookAtAudit takes what the audit devices have written to files.
func (w *world) lookAtAudit() {
	w.t.Helper()
	for _, device := range devices {
		content, err := os.ReadFile(w.path("audit/" + device.name + ".log"))
		if err != nil || len(content) == 0 {
			w.t.Errorf("the device %s has written %d bytes: %v", device.name, len(content), err)
		}
		w.saw(records, device.name, content)
	}
}

// noCoreDumps fails the test unless the kernel would write none of the server.
func (w *world) noCoreDumps() {
	w.t.Helper()
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", w.process.PID()))
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		if rest, found := strings.CutPrefix(line, "Max core file size"); found {
			if words := strings.Fields(rest); words[0] != "0" || words[1] != "0" {
				w.t.Errorf("core dumps of the server are possible: %s", line)
			}
			return
		}
	}
	w.t.Errorf("no limit of core dumps in %s", limits)
}

// lookAtRows takes every row below the barrier, as blocks on the disk are packed.
// The server must have ended.
func (w *world) lookAtRows() {
	w.t.Helper()
	store, err := pebble.Open(w.server.Data, pebble.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer store.Close()
	snap, err := store.Snapshot(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	defer snap.Close()
	rows := 0
	for e, err := range snap.Range(w.t.Context(), "", "") {
		if err != nil {
			w.t.Fatal(err)
		}
		rows++
		w.saw(disk, "row "+strconv.Quote(e.Key), fmt.Appendf(nil, "%s\n%s", e.Key, e.Value))
	}
	if rows == 0 {
		w.t.Error("the store is empty")
	}
}

// descendants returns the processes that this one has started, and theirs.
func descendants() []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // gone
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		if words := strings.Fields(rest); len(words) > 1 {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			parent, _ := strconv.Atoi(words[1])
			children[parent] = append(children[parent], pid)
		}
	}
	all := children[os.Getpid()]
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// lookAtProcesses takes arguments, environments and open files of all that runs.
// It returns how many processes that were.
func (w *world) lookAtProcesses() int {
	w.t.Helper()
	all := descendants()
	for _, pid := range all {
		proc := fmt.Sprintf("/proc/%d/", pid)
		w.lookAtProc(arguments, proc+"cmdline")
		w.lookAtProc(arguments, proc+"comm")
		w.lookAtProc(variables, proc+"environ")
		open, _ := os.ReadDir(proc + "fd")
		for _, fd := range open {
			path := proc + "fd/" + fd.Name()
			target, err := os.Readlink(path)
			info, statErr := os.Stat(path)
			if err != nil || statErr != nil || !info.Mode().IsRegular() {
				continue
			}
			w.saw(disk, "name of an open file", []byte(target))
			if _, err := os.Lstat(target); err == nil && (strings.HasPrefix(target, w.root) || strings.HasPrefix(target, w.inputs)) {
				continue // lookAtFiles finds it, or it is ours
			}
			if content, err := os.ReadFile(path); err == nil {
				w.saw(disk, path+" "+target, content)
			}
		}
	}
	return len(all)
}

// lookAtProc takes a file of /proc. One that may not be read tells nobody else
// either: the server is not dumpable.
func (w *world) lookAtProc(p place, path string) {
	content, err := os.ReadFile(path)
	if err == nil {
		w.saw(p, path, content)
	}
}
