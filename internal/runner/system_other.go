//go:build !linux

package runner

import (
	"errors"

	"golang.org/x/sys/unix"
)

// isMemory is not known here: a RAM disk looks like any other.
func isMemory(string) bool { return false }

// hideProcess does nothing: other systems do not show one process to another.
func hideProcess() {}

func adoptOrphans() error {
	return errors.New("only Linux lets a process that is not number 1 adopt orphans")
}

// Requests that read and set how a terminal behaves.
const (
	getTermios      = unix.TIOCGETA
	setTermios      = unix.TIOCSETA
	setTermiosAfter = unix.TIOCSETAW // what was written before has been printed
)
