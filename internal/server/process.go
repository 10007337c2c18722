package server

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// protectMemory keeps secrets out of core dumps and, where the system permits,
// out of swap.
func protectMemory(o Options) {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		o.Log.Warn("core dumps can't be switched off", "error", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		o.Log.Warn("the process stays readable for debuggers of its user", "error", err)
	}
	if !o.Config.DisableMlock && !o.Dev && mayLock() {
		if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
			o.Log.Warn("memory may be swapped to disk", "error", err)
		}
	}
}

// mayLock says whether all memory can be locked: with less than that, growing
// would fail some day.
func mayLock() bool {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return false
	}
	return os.Geteuid() == 0 || limit.Cur == unix.RLIM_INFINITY
}

func writePID(path string) error {
	if path == "" {
		return nil
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return fmt.Errorf("pid file: %w", err)
	}
	return nil
}

func removePID(path string) {
	if path != "" {
		os.Remove(path) // gone with the folder, maybe: then there is nothing to do
	}
}
