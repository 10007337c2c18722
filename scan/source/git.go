package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
)

func isEnd(err error) bool { return errors.Is(err, io.EOF) }

// repository is a git repository, which is read by the git program alone: it knows
// worktrees, alternates, partial clones and every form of object.
type repository struct{ dir string }

// command is a call of git that asks nothing, and runs none of the filters that a
// repository may name.
func (r repository) command(ctx context.Context, args ...string) *exec.Cmd {
	args = append([]string{"--no-pager", "-c", "core.quotePath=false", "-c", "diff.external=", "-c", "core.fsmonitor=false"}, args...)
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = r.dir
	cmd.Env = append(cmd.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_LAZY_FETCH=1", "LC_ALL=C")
	return cmd
}

// run calls read with the output of git.
func (r repository) run(ctx context.Context, stdin io.Reader, read func(*bufio.Reader) error, args ...string) error {
	cmd := r.command(ctx, args...)
	cmd.Stdin = stdin
	var complaints bytes.Buffer
	cmd.Stderr = &limited{w: &complaints, left: 4 << 10}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	readErr := read(bufio.NewReaderSize(out, 256<<10))
	if readErr != nil {
		io.Copy(io.Discard, out) // git must not wait for us; its own error is told
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if text := strings.TrimSpace(complaints.String()); text != "" {
			return fmt.Errorf("git %s: %s", args[0], firstLine(text))
		}
		return fmt.Errorf("git %s: %w", args[0], err)
	}
	return readErr
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// output is what git prints, less the last line end.
func (r repository) output(ctx context.Context, args ...string) (string, error) {
	var out []byte
	err := r.run(ctx, nil, func(b *bufio.Reader) (err error) {
		out, err = io.ReadAll(b)
		return err
	}, args...)
	return strings.TrimSuffix(string(out), "\n"), err
}

// limited keeps the first bytes of what is written to it.
type limited struct {
	w    io.Writer
	left int
}

// Write implements [io.Writer].
func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	if _, err := l.w.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// object is what is asked of git cat-file, and what it says.
type object struct {
	id   string
	rest string // given with the question, and back
	kind string
	size int64
}

var errObject = errors.New("git cannot read the object")

// each asks cat-file for objects, and calls got for each that there is, in order; r
// gives what it holds, and need not be read to the end. Objects that git can't read
// are told to lost: of these it may die, and is called again for those that follow.
func (r repository) each(ctx context.Context, ask []object, got func(o object, r io.Reader) error, lost func(object, error)) error {
	for len(ask) > 0 {
		answered := 0
		var ours error // an error of got, which ends everything
		err := r.run(ctx, questions(ask), func(out *bufio.Reader) error {
			for answered < len(ask) {
				o, err := readHeader(out, ask[answered])
				if err != nil {
					return err
				}
				if o.kind == "" {
					lost(o, errObject)
					answered++
					continue
				}
				if ours, err = passContents(out, o, got); ours != nil || err != nil {
					return errors.Join(ours, err)
				}
				answered++
			}
			return nil
		}, "cat-file", "--batch=%(objectname) %(objecttype) %(objectsize) %(rest)", "--buffer")
		switch {
		case ours != nil || ctx.Err() != nil:
			return errors.Join(ours, ctx.Err())
		case answered == len(ask):
			return nil
		case err == nil:
			err = io.ErrUnexpectedEOF
		}
		lost(ask[answered], err)
		ask = ask[answered+1:]
	}
	return nil
}

func questions(ask []object) io.Reader {
	var b bytes.Buffer
	for _, o := range ask {
		b.WriteString(o.id)
		b.WriteByte(' ')
		b.WriteString(o.rest)
		b.WriteByte('\n')
	}
	return &b
}

// readHeader reads the line that precedes an object. Its kind is empty if there is
// no such object.
func readHeader(out *bufio.Reader, asked object) (object, error) {
	line, err := out.ReadString('\n')
	if err != nil {
		return asked, err
	}
	f := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
	if len(f) < 3 || strings.HasSuffix(line, " missing\n") && len(f) == 2 {
		return asked, nil
	}
	size, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil {
		return asked, nil // "… missing" with a rest
	}
	asked.kind, asked.size = f[1], size
	return asked, nil
}

func passContents(out *bufio.Reader, o object, got func(object, io.Reader) error) (ours, err error) {
	body := &io.LimitedReader{R: out, N: o.size}
	ours = got(o, body)
	if ours != nil {
		return ours, nil
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		return nil, err
	}
	if body.N > 0 {
		return nil, io.ErrUnexpectedEOF
	}
	_, err = out.ReadByte()
	return nil, err
}
