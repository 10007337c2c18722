//go:build !linux

package agent

import (
	"errors"
	"net"
)

func credentialsOf(*net.UnixConn) (pid, uid int, err error) {
	return 0, 0, errors.New("this system is not asked who connects")
}

func startOf(int) string { return "" }

func isUser(string, int) bool { return false }
