package agent

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

// credentialsOf asks the system who connected.
func credentialsOf(c *net.UnixConn) (pid, uid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, 0, err
	}
	if credErr != nil {
		return 0, 0, credErr
	}
	return int(cred.Pid), int(cred.Uid), nil
}

// startOf is when a process has started, in ticks; empty: there is none of that
// number. The name in parentheses may have anything in it.
func startOf(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const start = 22 - 3 // proc_pid_stat(5) counts from 1, and the first here is the third
	if len(fields) <= start || fields[0][0] == 'Z' {
		return ""
	}
	return string(fields[start])
}

func isUser(who string, uid int) bool {
	if who == strconv.Itoa(uid) {
		return true
	}
	u, err := user.Lookup(who)
	return err == nil && u.Uid == strconv.Itoa(uid)
}
