package main

import (
	"os"
	"testing"
	"time"
)

func TestParseCPUTime(t *testing.T) {
	for _, tt := range []struct {
		name string
		stat string
		want time.Duration // below zero: an error
	}{
		{"user and system time are added", "42 (coffer) S 1 42 42 0 -1 4194304 3339 0 0 0 57 35 9 9 20 0 8 0 368845\n", 920 * time.Millisecond},
		{"a name may hold spaces and parentheses", "42 (a) S 1 (b) R 1 42 42 0 -1 4194304 3339 0 0 0 1 2 9 9 20 0\n", 30 * time.Millisecond},
		{"a name is needed", "42 S 1", -1},
		{"a short line", "42 (coffer) S 1 42 42 0 -1 4194304 3339 0 0 0 57", -1},
		{"no number", "42 (coffer) S 1 42 42 0 -1 4194304 3339 0 0 0 57 x 9", -1},
		{"a negative number", "42 (coffer) S 1 42 42 0 -1 4194304 3339 0 0 0 57 -1 9", -1},
		{"nothing", "", -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseCPUTime(tt.stat)
			if (err != nil) != (tt.want < 0) {
				t.Fatalf("error: %v", err)
			}
			if err == nil && got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestParseResident(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status string
		want   int64 // below zero: an error
	}{
		{"kibibytes become bytes", "Name:\tcoffer\nVmHWM:\t   30000 kB\nVmRSS:\t   25232 kB\nRssAnon:\t 7292 kB\n", 25232 << 10},
		{"a kernel thread has none", "Name:\tkthreadd\n", -1},
		{"no unit", "VmRSS:\t25232\n", -1},
		{"no number", "VmRSS:\tmuch kB\n", -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseResident(tt.status)
			if (err != nil) != (tt.want < 0) {
				t.Fatalf("error: %v", err)
			}
			if err == nil && got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestTheKernelIsUnderstood(t *testing.T) {
	if _, err := cpuTime(os.Getpid()); err != nil {
		t.Errorf("CPU time: %v", err)
	}
	if n, err := resident(os.Getpid()); err != nil || n < 1<<20 {
		t.Errorf("resident: %d, %v", n, err)
	}
	if loadAverage() == "" {
		t.Error("no load average")
	}
}

func TestParseCPUModel(t *testing.T) {
	const cpuinfo = "processor\t: 0\nmodel\t\t: 2\nmodel name\t: AMD EPYC\nprocessor\t: 1\nmodel name\t: other\n"
	if got := parseCPUModel(cpuinfo); got != "AMD EPYC" {
		t.Errorf("got %q", got)
	}
	if got := parseCPUModel("processor: 0\n"); got != "" {
		t.Errorf("got %q of a processor without a name", got)
	}
}

func TestParseFileSystem(t *testing.T) {
	const mountinfo = `22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:5 / /dev rw - devtmpfs none rw
24 22 0:6 / /var/tmp rw shared:1 master:2 - tmpfs tmpfs rw
25 22 0:7 / /var/with\040space rw - xfs /dev/vdb rw
26 22 0:8 / /twice rw - ext4 /dev/vdc rw
27 26 0:9 / /twice rw - btrfs /dev/vdd rw
torn line
`
	for _, tt := range []struct{ name, path, want string }{
		{"the root holds the rest", "/home", "ext4"},
		{"the longest mount point wins", "/var/tmp/bench", "tmpfs"},
		{"a mount point itself", "/var/tmp", "tmpfs"},
		{"a name that only begins alike", "/var/tmpfoo", "ext4"},
		{"a space in a name", "/var/with space/x", "xfs"},
		{"the last mount on one point wins", "/twice/x", "btrfs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := parseFileSystem(mountinfo, tt.path); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
