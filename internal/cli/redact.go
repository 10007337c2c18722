package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/cofferhq/coffer/internal/dotenv"
	"github.com/cofferhq/coffer/redact"
	"github.com/cofferhq/coffer/secrets"
)

func redactCommand() Command {
	return Command{
		Name: "redact", Args: "[FILE...]", MaxArgs: -1, Flags: ClientFlags,
		Short: "Remove the values of secrets from a log",
		Long: `
Copies the standard input, or files, to the standard output, and puts [redacted]
in place of each value, also where it is encoded: base64 in any alignment, URLs,
JSON, hexadecimal, the escapes of shells, Go, Python and HTML. Everything else
stays as it is. Nothing is printed unless all values are known.

Values come from references, as they stand in the environment of "coffer run";
from .env files; and from files of values: one a line, or JSON, {"NAME":"value"} or
["value"]. Arguments hold none: everybody on the machine can read those.

References are followed: when one has a new value, both are removed from then on.
The token is that of COFFER_TOKEN or the last login.

Values of less than 6 bytes, and words that every log is full of, are not removed:
a warning names them. What else cannot be seen is told in docs/redact.md.

  Remove a password from what a program prints:
      $ ./app 2>&1 | coffer redact -ref=vault:secret/db#password
  Remove all that a .env file refers to from a log, and say which was where:
      $ coffer redact -names -env-file=.env app.log
  Remove values that stand in a file, or come from another program:
      $ coffer redact -values=values.json app.log
      $ coffer kv get -field=password secret/db | coffer redact -values=- app.log`,
		New: newRedact,
	}
}

type redactFlags struct {
	refs, envFiles, values *[]string
	plain, names           *bool
	interval               *string
}

func newRedact(f *Flags) Run {
	o := &redactFlags{
		refs:     f.List("ref", "Reference whose value is removed."),
		envFiles: f.List("env-file", "File of NAME=VALUE lines; what its references stand for is removed."),
		plain:    f.Bool("plain", false, "Remove the values of -env-file that are no references, too: all of them."),
		values:   f.List("values", "File of values to remove; - is the standard input."),
		names:    f.Bool("names", false, "Say which value it was: [redacted:NAME]."),
		interval: f.Duration("interval", "How often to look for new versions, more or less a fifth. Default: 15s."),
	}
	return o.run
}

// terminalHold is how long a terminal waits for what may be the beginning of a
// value.
const terminalHold = time.Second

func (o *redactFlags) run(ctx context.Context, c *Call) error {
	if kind, err := c.opts.dryRun(); err != nil || kind != notDry {
		return usage("Redacting makes many requests: -output-curl-string and -output-policy cannot show them")
	}
	if slices.Contains(*o.values, "-") && len(c.Args) == 0 {
		return usage("The standard input holds the values or the log: name a file for one of them")
	}
	s := &scrub{call: c, templates: map[string]secrets.Template{}, names: map[string]string{}, warned: map[string]bool{}}
	if *o.names {
		s.redactor = redact.New(redact.WithNames())
	} else {
		s.redactor = redact.New()
	}
	if err := o.collect(c, s); err != nil {
		return err
	}
	if len(s.templates) == 0 && len(s.fixed) == 0 {
		return usage("Nothing to remove: name values with -ref, -env-file or -values")
	}
	interval, err := positive("interval", *o.interval)
	if err != nil {
		return err
	}
	group, err := s.open(ctx, interval)
	if err != nil {
		return err
	}
	return errors.Join(local(s.copy()), closeGroup(group))
}

// closeGroup ends the following, if there is any. What it cannot tell the server
// any more does no harm to the output.
func closeGroup(group *secrets.Group) error {
	if group == nil {
		return nil
	}
	return failed(group.Close(), "ending")
}

// collect finds out what to remove, without asking the server.
func (o *redactFlags) collect(c *Call, s *scrub) error {
	for _, ref := range *o.refs {
		t, err := secrets.Parse(ref)
		if err != nil {
			return usage("-ref: %v", err)
		}
		if len(t.References()) == 0 {
			return usage("-ref takes references, such as vault:secret/db#password. Values do not belong into arguments: use -values")
		}
		s.add(t.String(), t)
	}
	for _, path := range *o.envFiles {
		if err := s.addEnv(path, *o.plain); err != nil {
			return local(err)
		}
	}
	for _, path := range *o.values {
		values, err := loadValues(path, c.Stdin)
		if err != nil {
			return local(err)
		}
		s.fixed = append(s.fixed, values...)
	}
	return nil
}

// scrub is one run of the command.
type scrub struct {
	call      *Call
	redactor  *redact.Redactor
	fixed     []redact.Value              // that no reference stands for
	templates map[string]secrets.Template // by key
	names     map[string]string           // key → name of the value
	warned    map[string]bool             // by name; only of the goroutine that learns
}

// add makes a text with references known, whole, and each of the references:
// a password is a secret also outside of the URL that it is part of.
func (s *scrub) add(name string, t secrets.Template) {
	s.put(name, t)
	refs := t.References()
	if len(refs) == 1 && refs[0].Text() == t.Text() {
		return
	}
	for _, ref := range refs {
		if part, err := secrets.Parse(ref.Text()); err == nil { // it was parsed once
			s.put(name, part)
		}
	}
}

func (s *scrub) put(name string, t secrets.Template) {
	key := fmt.Sprintf("%s (%d)", name, len(s.templates))
	s.templates[key], s.names[key] = t, name
}

func (s *scrub) addEnv(path string, plain bool) error {
	file, err := dotenv.Load(path)
	if err != nil {
		return err
	}
	values, err := file.Values()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		t, err := secrets.Parse(values[name].RevealText())
		switch {
		case err != nil:
			return fmt.Errorf("%s (%s): %w", name, path, err)
		case len(t.References()) > 0:
			s.add(name, t)
		case plain:
			s.fixed = append(s.fixed, redact.Secret(name, values[name].Reveal()))
		}
	}
	return nil
}

// open makes all values known, and follows those that may change. The group is
// nil if there are none.
func (s *scrub) open(ctx context.Context, interval time.Duration) (*secrets.Group, error) {
	if len(s.templates) == 0 {
		s.learn(s.fixed)
		return nil, nil
	}
	cl, err := s.call.Client()
	if err != nil {
		return nil, err
	}
	group, err := secrets.OpenTemplates(ctx, s.templates, secrets.WithClient(cl.WithWrapTTL("")), secrets.WithInterval(interval),
		secrets.WithoutAcknowledgement(), secrets.WithErrorHandler(func(err error) { s.warn(err.Error()) }))
	if err != nil {
		return nil, &failure{code: exitServer, text: err.Error(), hint: s.call.hint(err)}
	}
	s.take(group.Snapshot())
	group.OnChange(func(_ context.Context, snapshot secrets.Snapshot) error {
		s.take(snapshot)
		return nil
	})
	return group, nil
}

func (s *scrub) take(snapshot secrets.Snapshot) {
	values := slices.Clone(s.fixed)
	for _, key := range slices.Sorted(maps.Keys(s.templates)) {
		if v, ok := snapshot.Lookup(key); ok {
			values = append(values, redact.Secret(s.names[key], v.Reveal()))
		}
	}
	s.learn(values)
}

func (s *scrub) learn(values []redact.Value) {
	for _, w := range s.redactor.Set(values...) {
		if !s.warned[w.Name] {
			s.warned[w.Name] = true
			s.warn(w.String())
		}
	}
}

func (s *scrub) warn(text string) { s.call.Warn(program + " redact: " + text) }

// copy writes what is not secret to the standard output.
func (s *scrub) copy() error {
	var opts []redact.WriterOption
	if s.call.StdoutTTY {
		opts = append(opts, redact.MaxHold(terminalHold))
	}
	out := s.redactor.Writer(s.call.Stdout, opts...)
	if len(s.call.Args) == 0 {
		return errors.Join(s.copyInput(out), out.Close())
	}
	for _, path := range s.call.Args {
		if err := copyFile(out, path); err != nil {
			return errors.Join(err, out.Close())
		}
	}
	return out.Close()
}

// copyInput copies the standard input. An interrupt at the keyboard goes to the
// program in front of the pipe, too: its last words still pass through here, and
// then the pipe ends.
func (s *scrub) copyInput(out io.Writer) error {
	if !s.call.StdinTTY {
		ignored := make(chan os.Signal, 1)
		signal.Notify(ignored, os.Interrupt)
		defer signal.Stop(ignored)
	}
	_, err := io.Copy(out, s.call.Stdin)
	return err
}

func copyFile(out io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(out, f)
	return err
}
