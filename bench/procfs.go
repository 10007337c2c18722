package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc: USER_HZ, which is 100 on every
// architecture that Go runs on.
const tick = 10 * time.Millisecond

// parseCPUTime returns the processor time, of user and system together, that
// /proc/PID/stat tells of (proc(5)).
func parseCPUTime(stat string) (time.Duration, error) {
	// The second field is a name in parentheses, which may hold any character.
	end := strings.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, fmt.Errorf("no name in %q", stat)
	}
	fields := strings.Fields(stat[end+1:])
	const utime, stime = 14 - 3, 15 - 3 // fields count from 1, and two are gone
	if len(fields) <= stime {
		return 0, fmt.Errorf("too few fields in %q", stat)
	}
	var ticks uint64
	for _, at := range []int{utime, stime} {
		n, err := strconv.ParseUint(fields[at], 10, 48)
		if err != nil {
			return 0, fmt.Errorf("parse %q: %w", stat, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// cpuTime returns the processor time that a process has used.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseCPUTime(string(stat))
}

// parseResident returns the resident memory, in bytes, that /proc/PID/status
// tells of.
func parseResident(status string) (int64, error) {
	for line := range strings.Lines(status) {
		rest, ok := strings.CutPrefix(line, "VmRSS:")
		if !ok {
			continue
		}
		n, ok := strings.CutSuffix(strings.TrimSpace(rest), " kB")
		if !ok {
			return 0, fmt.Errorf("no kB in %q", line)
		}
		kib, err := strconv.ParseInt(n, 10, 48)
		if err != nil {
			return 0, fmt.Errorf("parse %q: %w", line, err)
		}
		return kib << 10, nil
	}
	return 0, fmt.Errorf("no VmRSS among %d bytes", len(status))
}

// resident returns the resident memory of a process in bytes.
func resident(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseResident(string(status))
}

// parseCPUModel returns the name of the first processor of /proc/cpuinfo, or
// nothing if it has none.
func parseCPUModel(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		key, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// parseFileSystem returns the kind of file system that holds an absolute path,
// after /proc/self/mountinfo (proc(5)), or nothing if no line says.
func parseFileSystem(mountinfo, path string) string {
	kind, longest := "", -1
	for line := range strings.Lines(mountinfo) {
		mount, fs, ok := strings.Cut(line, " - ")
		fields := strings.Fields(mount)
		kinds := strings.Fields(fs)
		if !ok || len(fields) < 5 || len(kinds) == 0 {
			continue
		}
		point := unescapeMount(fields[4])
		// The last of several mounts on one point is the one that is seen.
		if below(path, point) && len(point) >= longest {
			kind, longest = kinds[0], len(point)
		}
	}
	return kind
}

// below says whether path is point or lies in it.
func below(path, point string) bool {
	return path == point || strings.HasPrefix(path, strings.TrimSuffix(point, "/")+"/")
}

// unescapeMount undoes the octal escapes of mountinfo.
func unescapeMount(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// loadAverage returns the load of the last minute, or nothing if it is unknown.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	first, _, _ := bytes.Cut(text, []byte(" "))
	return string(first)
}
