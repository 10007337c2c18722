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
	broken     chan os.Signal // SIGPIPE, which nobody takes: see catchSignals
	foreground func() bool    // whether the terminal sends its signals to our job

	// Somebody else wants the program to end: it is not to be started again.
	ending   atomic.Bool
	stopping atomic.Bool // we are about to end it, to start it again
}

// catchSignals begins to receive. What was ignored stays so, also for the program
// (nohup).
func catchSignals() *signals {
	s := &signals{received: make(chan os.Signal, 64), broken: make(chan os.Signal, 1), foreground: inForeground}
	caught := slices.DeleteFunc(slices.Clone(forwarded), signal.Ignored)
	signal.Notify(s.received, caught...)
	// Output that nobody reads must not end us before we have cleaned up. The
	// program, which gets its own broken pipe, is not to ignore it.
	if !signal.Ignored(syscall.SIGPIPE) {
		signal.Notify(s.broken, syscall.SIGPIPE)
	}
	return s
}

func (s *signals) stop() {
	signal.Stop(s.received)
	signal.Stop(s.broken)
}

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

// forward hands signals to deliver until done is closed. If the program shares the
// terminal's signals with us, what the terminal sends has reached it already: the
// same again would make many programs stop without cleaning up. A signal of that
// kind which was sent by hand, to us alone, while we are in the foreground, cannot
// be told from it and is lost; SIGTERM is not. Resized are called when the window
// has another size, before anybody is told.
func (s *signals) forward(deliver func(os.Signal), shares func() bool, done <-chan struct{}, resized ...func()) {
	for {
		select {
		case sig := <-s.received:
			// Programs may take an interrupt and go on.
			if sig == syscall.SIGTERM || s.stopping.Load() && slices.Contains(ending, sig) {
				s.ending.Store(true)
			}
			if sig == syscall.SIGWINCH {
				for _, fn := range resized {
					fn()
				}
			}
			if slices.Contains(ofTerminal, sig) && shares() {
				continue
			}
			deliver(sig)
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
