package runner

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// forwarded are the signals that are for the program. Those that stop and
// continue a job are not among them: the shell sends them to the program, too,
// and we must stop with it.
var forwarded = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2,
	syscall.SIGALRM, syscall.SIGWINCH,
}

// ofTerminal are the signals that a terminal sends to every process of the job in
// its foreground.
var ofTerminal = []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGWINCH}

// ending are the signals that end a process that does not know better.
var ending = []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM}

// signals receives what is for the program.
type signals struct {
	received   chan os.Signal
	foreground func() bool // whether the terminal sends its signals to our job

	// Somebody else wants the program to end: it is not to be started again.
	ending   atomic.Bool
	stopping atomic.Bool // we are about to end it, to start it again
}

// catchSignals begins to receive. What was ignored stays so, also for the program
// (nohup).
func catchSignals() *signals {
	s := &signals{received: make(chan os.Signal, 64), foreground: inForeground}
	caught := slices.DeleteFunc(slices.Clone(forwarded), signal.Ignored)
	signal.Notify(s.received, caught...)
	return s
}

func (s *signals) stop() { signal.Stop(s.received) }

// interrupt returns a context that ends when a signal comes that would end us.
// Done stops that, and returns the signal if there was one.
func (s *signals) interrupt(ctx context.Context) (_ context.Context, done func() os.Signal) {
	ctx, cancel := context.WithCancel(ctx)
	var caught os.Signal
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case sig := <-s.received:
				if slices.Contains(ending, sig) {
					caught = sig
					cancel()
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return ctx, func() os.Signal {
		cancel()
		wg.Wait()
		return caught
	}
}

// forward hands signals to the program until done is closed. What the terminal
// sends has reached the program already: the same again would make many
// programs stop without cleaning up. A signal of that kind which was sent by
// hand, to us alone, while we are in the foreground, cannot be told from it and
// is lost; SIGTERM is not.
func (s *signals) forward(p *os.Process, done <-chan struct{}) {
	for {
		select {
		case sig := <-s.received:
			// Programs may take an interrupt and go on.
			if sig == syscall.SIGTERM || s.stopping.Load() && slices.Contains(ending, sig) {
				s.ending.Store(true)
			}
			if slices.Contains(ofTerminal, sig) && s.foreground() {
				continue
			}
			_ = p.Signal(sig) // it may have ended meanwhile
		case <-done:
			return
		}
	}
}

// inForeground says whether our process group has the terminal.
func inForeground() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return false // there is no terminal
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// exitOfSignal is the exit code that shells give to what a signal has ended.
func exitOfSignal(sig os.Signal) int {
	number, ok := sig.(syscall.Signal)
	if !ok {
		return ExitLocal
	}
	return 128 + int(number)
}
