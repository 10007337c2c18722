package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestParsePerf(t *testing.T) {
	for _, tt := range []struct {
		name string
		text string
		want float64 // below zero: this machine cannot count
	}{
		{
			"the counts of all events are added",
			"# started on Tue Nov 24 12:00:00 2026\n\n40,,syscalls:sys_enter_fdatasync,1788691,100.00,,\n2,,syscalls:sys_enter_fsync,1788691,100.00,,\n", 42,
		},
		{"an event that the kernel lacks", "<not supported>,,syscalls:sys_enter_fsync,0,100.00,,\n", -1},
		{"an event that was never counted", "<not counted>,,syscalls:sys_enter_fsync,0,0.00,,\n", -1},
		{"nothing", "# started\n", -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parsePerf(tt.text)
			if tt.want < 0 {
				if !errors.Is(err, errNoCounter) {
					t.Errorf("got %v, %v; want %v", got, err, errNoCounter)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func TestInterruptedCallsOfATraceCountOnce(t *testing.T) {
	const trace = `6634  fdatasync(7 <unfinished ...>
6635  fsync(9)                          = 0
6634  <... fdatasync resumed>)          = 0
6634  fdatasync(7)                      = 0
6634  +++ exited with 0 +++
`
	if got := countTraced(trace); got != 3 {
		t.Errorf("got %v, want 3", got)
	}
}

func TestTheSyncsOfAProcessAreCounted(t *testing.T) {
	for _, tt := range []struct {
		name    string
		counter func(*lab, context.Context, int, func() error) (float64, error)
	}{
		{"by perf", (*lab).countByPerf},
		{"by strace", (*lab).countByStrace},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := &lab{dir: t.TempDir()}
			f, err := os.Create(filepath.Join(l.dir, "data"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			const want = 25
			got, err := tt.counter(l, t.Context(), os.Getpid(), func() error {
				for range want {
					if err := syscall.Fdatasync(int(f.Fd())); err != nil {
						return err
					}
				}
				return nil
			})
			if errors.Is(err, errNoCounter) {
				t.Logf("this machine has none that may count: %v", err)
				return
			}
			if err != nil || got != want {
				t.Errorf("got %v, %v; want %d", got, err, want)
			}
		})
	}
}
