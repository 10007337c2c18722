package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// errNoCounter says that this machine has nothing that counts system calls.
var errNoCounter = errors.New("neither perf nor strace can count the syncs of a process here")

// attachTime is how long a tracer may take to attach.
const attachTime = 10 * time.Second

// countSyncs returns how many times a process calls fdatasync or fsync while
// during runs. perf counts in the kernel and disturbs nothing; strace slows every
// system call, so that only its counts are of use, not the times.
func (l *lab) countSyncs(ctx context.Context, pid int, during func() error) (float64, error) {
	for _, counter := range []func(context.Context, int, func() error) (float64, error){l.countByPerf, l.countByStrace} {
		n, err := counter(ctx, pid, during)
		if !errors.Is(err, errNoCounter) {
			return n, err
		}
	}
	return 0, errNoCounter
}

// countByPerf counts from the moment at which perf says that it does.
func (l *lab) countByPerf(ctx context.Context, pid int, during func() error) (float64, error) {
	out := filepath.Join(l.dir, "perf")
	control, commands, err1 := os.Pipe()
	acks, answers, err2 := os.Pipe()
	if err := errors.Join(err1, err2); err != nil {
		return 0, err
	}
	defer control.Close()
	defer commands.Close()
	defer acks.Close()
	cmd := exec.CommandContext(ctx, "perf", "stat", "-x", ",", "-D", "-1", "--control", "fd:3,4", "-o", out,
		"-e", "syscalls:sys_enter_fdatasync,syscalls:sys_enter_fsync", "-p", strconv.Itoa(pid))
	cmd.ExtraFiles = []*os.File{control, answers} // descriptors 3 and 4
	cmd.SysProcAttr = ownGroup()
	err := cmd.Start()
	answers.Close() // ours, so that perf's end is seen
	if err != nil {
		return 0, errNoCounter
	}
	ended := tracer{cmd}
	if err := order(commands, acks, "enable"); err != nil {
		return 0, errors.Join(errNoCounter, ended.stop())
	}
	if err := errors.Join(during(), order(commands, acks, "disable"), ended.stop()); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(out)
	if err != nil {
		return 0, err
	}
	return parsePerf(string(text))
}

// order sends perf a command and waits until it has been done.
func order(commands, acks *os.File, command string) error {
	if err := acks.SetReadDeadline(time.Now().Add(attachTime)); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(commands, command); err != nil {
		return err
	}
	got := make([]byte, 16)
	n, err := acks.Read(got)
	if err != nil || !strings.HasPrefix(string(got[:n]), "ack") {
		return fmt.Errorf("perf did not acknowledge %s: %w", command, err)
	}
	return nil
}

// parsePerf adds the counts of perf stat -x, of which each line begins with one.
func parsePerf(text string) (float64, error) {
	total, counts := 0.0, 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		count, _, _ := strings.Cut(line, ",")
		n, err := strconv.ParseUint(count, 10, 48)
		if err != nil {
			return 0, errNoCounter // "<not supported>"
		}
		total, counts = total+float64(n), counts+1
	}
	if counts == 0 {
		return 0, errNoCounter
	}
	return total, nil
}

// countByStrace counts the lines of a trace.
func (l *lab) countByStrace(ctx context.Context, pid int, during func() error) (float64, error) {
	out := filepath.Join(l.dir, "strace")
	cmd := exec.CommandContext(ctx, "strace", "-f", "-e", "trace=fdatasync,fsync", "-e", "signal=none",
		"-o", out, "-p", strconv.Itoa(pid))
	cmd.SysProcAttr = ownGroup()
	said, err := cmd.StderrPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, errNoCounter
	}
	ended := tracer{cmd}
	// It says once that it is attached to the threads there are, or why it can't.
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil || !strings.Contains(line, "attached") {
		return 0, errors.Join(errNoCounter, ended.stop())
	}
	go io.Copy(io.Discard, said) // ends with strace
	if err := errors.Join(during(), ended.stop()); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(out)
	if err != nil {
		return 0, err
	}
	return countTraced(string(text)), nil
}

// countTraced counts the calls in the output of strace -f, where a call that
// another thread interrupts has a second line.
func countTraced(trace string) float64 {
	n := 0.0
	for line := range strings.Lines(trace) {
		if strings.Contains(line, " fdatasync(") || strings.Contains(line, " fsync(") {
			n++
		}
	}
	return n
}

// tracer is a program that watches another until it is interrupted.
type tracer struct{ cmd *exec.Cmd }

// stop interrupts it and waits. How it ends means nothing: perf and strace end by
// the signal.
func (t tracer) stop() error {
	if err := t.cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	t.cmd.Wait()
	return nil
}
