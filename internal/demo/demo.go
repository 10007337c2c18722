// Package demo is coffer's main job in one command: a real server process on the
// embedded store, an application that is given its secrets by "coffer run", a
// rotation, and two thieves who get nothing. Every step checks what it claims,
// and shows what the audit device recorded of it.
//
// Start reading at [Run] and the table of steps.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cofferhq/coffer/client"
)

// Options is how the demo runs.
type Options struct {
	Program string    // path of coffer, which the demo starts
	Out     io.Writer // where it tells what it does
	Keep    bool      // leave the server up, and say how to go on
}

// stage is what the steps work on.
type stage struct {
	Options
	dir    string // all files of the demo; 0700
	server *process
	api    *client.Client // with the root token, once there is one
	caFile string
	trail  trail

	secrets secrets
	app     login    // of the application
	running *process // the application below "coffer run"; nil: none
}

// login is what an application logs in with.
type login struct{ roleID, secretID string }

// Run plays the demo, and returns what went wrong with the first step that
// failed. It leaves nothing behind unless it is to keep the server.
func Run(ctx context.Context, o Options) (err error) {
	dir, err := os.MkdirTemp("", "coffer-demo-")
	if err != nil {
		return err
	}
	s := &stage{Options: o, dir: dir}
	defer func() { err = errors.Join(err, s.leave(err == nil)) }()
	began := time.Now()
	for i, step := range steps {
		said, err := step(ctx, s)
		if err != nil {
			return fmt.Errorf("step %d: %w%s", i+1, err, s.lastWords())
		}
		s.tell("%2d. %s", i+1, said)
		if err := s.tellTrail(); err != nil {
			return err
		}
	}
	s.tell("\nAll %d steps held, in %.1f s.", len(steps), time.Since(began).Seconds())
	return nil
}

func (s *stage) tell(format string, args ...any) { fmt.Fprintf(s.Out, format+"\n", args...) }

// tellTrail shows what has been recorded since the last step.
func (s *stage) tellTrail() error {
	lines, err := s.trail.next()
	for _, line := range lines {
		s.tell("      audit │ %s", line)
	}
	return err
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

// lastWords is the end of the server's log, for those who must find out why.
func (s *stage) lastWords() string {
	const enough = 2000 // bytes
	text, err := os.ReadFile(s.path("server.log"))
	if err != nil || len(text) == 0 {
		return ""
	}
	return "\nThe server's last words:\n" + string(text[max(0, len(text)-enough):])
}

// leave stops what runs and removes the files, or says how to go on.
func (s *stage) leave(held bool) error {
	err := s.stopApplication()
	if s.Keep && held {
		return errors.Join(err, s.handOver())
	}
	if s.server != nil {
		err = errors.Join(err, s.server.stop())
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

func (s *stage) handOver() error {
	token := s.path("root-token")
	if err := os.WriteFile(token, []byte(s.api.Token()), 0o600); err != nil {
		return err
	}
	env := []string{"COFFER_ADDR=" + s.address(), "COFFER_CACERT=" + s.caFile, "COFFER_TOKEN=$(cat " + token + ")"}
	s.tell("\nThe server goes on as process %d. To look around:\n", s.server.cmd.Process.Pid)
	s.tell("    export %s", strings.Join(env, " \\\n           "))
	s.tell("    coffer kv get %s%s", mountPath, apiPath)
	s.tell("    tail -f %s", s.path(auditFile))
	s.tell("\nTo end it:\n\n    kill %d; rm -r %s", s.server.cmd.Process.Pid, s.dir)
	return nil
}

func (s *stage) address() string { return s.api.URL("", nil).Scheme + "://" + s.api.URL("", nil).Host }
