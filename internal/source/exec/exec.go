// Package exec is the source of secrets that a program of the operator's makes and
// sets. It is asked on its standard input and answers on its standard output, in
// the protocol of [source.Spoken]; nothing secret is in its arguments or its
// environment.
package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/source"
)

// Kind returns the kind of source, which runs the programs at the absolute paths
// allowed, and no others.
func Kind(allowed []string) *source.Kind {
	return &source.Kind{
		Type: "exec", Help: "Secrets that a program of the operator's makes and sets.",
		Strategies: []source.Strategy{source.Replace, source.Alternate},
		Secret:     []string{"settings"},
		Open: func(config json.RawMessage, _ source.Strategy) (source.Source, error) {
			return open(allowed, config)
		},
	}
}

type settings struct {
	source.SpokenConfig
	Program string `json:"program"` // one of those that the server's configuration allows
}

func open(allowed []string, config json.RawMessage) (source.Source, error) {
	var s settings
	if err := json.Unmarshal(config, &s); err != nil || s.Program == "" {
		return nil, logical.Invalid("config: program, the absolute path of a program that is allowed, is needed")
	}
	if !filepath.IsAbs(s.Program) || !slices.Contains(allowed, s.Program) {
		return nil, logical.Invalid("config: program %q is not allowed", s.Program).
			WithHint("the server's configuration names those that are: rotation_programs = [\"/path/to/program\"]")
	}
	src, err := s.Source(func(ctx context.Context, question []byte) ([]byte, error) {
		return run(ctx, s.Program, question)
	})
	if err != nil {
		return nil, err
	}
	return src, nil
}

// maxAnswer bounds what a program may answer, in bytes.
const maxAnswer = 1 << 20

// run runs the program, whose children end with it.
func run(ctx context.Context, program string, question []byte) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	cmd.Dir = "/"
	cmd.Stdin = bytes.NewReader(question)
	answer := &bounded{left: maxAnswer}
	cmd.Stdout = answer // what it writes to its standard error may hold secrets, and goes nowhere
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	name := filepath.Base(program)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, logical.Errorf(logical.ErrUpstream, "program %q did not answer in time", name)
	case answer.left < 0:
		return nil, logical.Errorf(logical.ErrUpstream, "program %q answered more than %d bytes", name, maxAnswer)
	case errors.As(err, &exit):
		return nil, logical.Errorf(logical.ErrUpstream, "program %q ended with %s", name, strings.TrimSpace(exit.ProcessState.String()))
	case err != nil:
		return nil, &logical.Error{Kind: logical.ErrUpstream, Text: "program \"" + name + "\" could not be run", Err: err}
	}
	return answer.buf.Bytes(), nil
}

// bounded keeps a number of bytes, and swallows more.
type bounded struct {
	buf  bytes.Buffer
	left int // bytes that may still come; below zero: more have come
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left >= 0 {
		if b.left -= len(p); b.left >= 0 {
			b.buf.Write(p)
		}
	}
	return len(p), nil
}
