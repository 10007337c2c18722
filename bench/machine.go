package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// machine is what a run was made on, and with.
type machine struct {
	cpu        string
	cores      int
	kernel     string
	fileSystem string // of the folder of the data
	goVersion  string // that built this program; make bench builds coffer with the same
	coffer     string // what its command version says
	commit     string
	date       time.Time
	rounds     int
	round      time.Duration
	loadBefore string // average of the last minute
	loadAfter  string
}

// describeMachine returns what can be found out; what can't stays empty.
func describeMachine(ctx context.Context, o options) machine {
	cpuinfo, _ := os.ReadFile("/proc/cpuinfo")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	dir, _ := filepath.Abs(o.dir)
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	m := machine{
		cpu:        parseCPUModel(string(cpuinfo)),
		cores:      runtime.NumCPU(),
		kernel:     strings.TrimSpace(string(kernel)),
		fileSystem: parseFileSystem(string(mounts), dir),
		goVersion:  strings.TrimPrefix(runtime.Version(), "go"),
		coffer:     firstLine(ctx, o.coffer, "version"),
		commit:     firstLine(ctx, "git", "rev-parse", "--short=12", "HEAD"),
		date:       time.Now().UTC(),
		rounds:     o.rounds,
		round:      o.round,
		loadBefore: loadAverage(),
	}
	if m.commit != "" && firstLine(ctx, "git", "status", "--porcelain", "--untracked-files=no") != "" {
		m.commit += " and changes on top"
	}
	return m
}

// firstLine returns the first line that a program prints, or nothing.
func firstLine(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

// onDisk says whether an fdatasync in the folder of the data means anything.
func (m machine) onDisk() bool {
	return m.fileSystem != "tmpfs" && m.fileSystem != "ramfs"
}

func (m machine) markdown() string {
	var b strings.Builder
	line := func(what, value string) {
		if value != "" {
			fmt.Fprintf(&b, "- %s: %s\n", what, value)
		}
	}
	line("Machine", fmt.Sprintf("%s, %d cores, Linux %s, %s", m.cpu, m.cores, m.kernel, m.fileSystem))
	line("Go", m.goVersion)
	line("Program", m.coffer)
	line("Commit", m.commit)
	line("Date", m.date.Format(time.DateOnly))
	line("Rounds", fmt.Sprintf("%d of %v under load; client and server share the machine", m.rounds, m.round))
	if m.loadBefore != "" && m.loadAfter != "" {
		line("Load average before and after", m.loadBefore+", "+m.loadAfter)
	}
	if !m.onDisk() {
		line("Caution", "the data lay in memory, where fdatasync does nothing: see -dir")
	}
	return b.String()
}
