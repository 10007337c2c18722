//go:build !linux

package runner

// isMemory is not known here: a RAM disk looks like any other.
func isMemory(string) bool { return false }

// hideProcess does nothing: other systems do not show one process to another.
func hideProcess() {}
