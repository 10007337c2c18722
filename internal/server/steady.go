package server

import (
	"time"

	"golang.org/x/sys/unix"
)

// steadyTime is time since the machine was started, which nobody can set. Unlike Go's
// monotonic clock it goes on while the machine sleeps: to wake up is no jump.
func steadyTime() func() time.Duration {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return nil // the readings of Now have to do
	}
	return func() time.Duration {
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
			panic("server: internal error: a clock that was there is gone: " + err.Error())
		}
		return time.Duration(now.Nano())
	}
}
