package cli

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/term"
)

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// readHidden reads a line from the standard input, a terminal. On an interrupt
// it gives the terminal its echo back and ends the program.
func readHidden() (string, error) {
	fd := int(os.Stdin.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	interrupted := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(interrupted, os.Interrupt)
	defer func() { signal.Stop(interrupted); close(done) }()
	go func() {
		select {
		case <-interrupted:
			_ = term.Restore(fd, state)
			os.Exit(130) // 128 + SIGINT, as shells have it
		case <-done:
		}
	}()
	line, err := term.ReadPassword(fd)
	return string(line), err
}

// ask reads a secret: from the terminal without echo, or else one line of the
// standard input.
func (c *Call) ask(prompt string) (string, error) {
	if c.opts.noQuestions != nil && *c.opts.noQuestions {
		return "", local(fmt.Errorf("%s is missing, and -non-interactive forbids to ask", prompt))
	}
	if !c.StdinTTY {
		return c.readLine()
	}
	fmt.Fprintf(c.Stderr, "%s (will be hidden): ", prompt)
	text, err := c.ReadHidden()
	fmt.Fprintln(c.Stderr)
	if err != nil {
		return "", local(fmt.Errorf("read %s: %w", prompt, err))
	}
	return strings.TrimSpace(text), nil
}

// readLine reads the first line of the standard input.
func (c *Call) readLine() (string, error) {
	line, err := bufio.NewReader(io.LimitReader(c.Stdin, maxInput)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", local(fmt.Errorf("read standard input: %w", err))
	}
	return strings.TrimSpace(line), nil
}

// base64Text is how keys are shown to people.
func base64Text(key []byte) string { return base64.StdEncoding.EncodeToString(key) }
