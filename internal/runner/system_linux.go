package runner

import "golang.org/x/sys/unix"

// isMemory says whether a folder lies in memory.
func isMemory(path string) bool {
	var s unix.Statfs_t
	if unix.Statfs(path, &s) != nil {
		return false
	}
	kind := uint32(s.Type)
	return kind == unix.TMPFS_MAGIC || kind == unix.RAMFS_MAGIC
}

// hideProcess keeps the program that we run, which is of the same user, from
// reading what we logged in with out of our memory and environment. Root can all
// the same.
func hideProcess() {
	// Where it is forbidden there is nothing to be done.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}

// adoptOrphans makes what our children leave behind ours to reap, as it is of the
// process with the number 1.
func adoptOrphans() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// Requests that read and set how a terminal behaves.
const (
	getTermios      = unix.TCGETS
	setTermios      = unix.TCSETS
	setTermiosAfter = unix.TCSETSW // what was written before has been printed
)
