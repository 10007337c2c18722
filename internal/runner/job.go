package runner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/secrets"
)

// job is one run under way.
type job struct {
	*Options
	environment *environment
	config      *config // nil: none
	templates   []fileTemplate
	entries     []entry // of the manifest
	path        string  // of the program
	deadline    time.Time
	private     *privateDir // nil: no file is written yet

	slots    map[string]secrets.Template // all that is resolved, parts included
	names    []string                    // of the slots
	parts    map[string]bool             // names of those that are for the scrubber alone
	client   *client.Client              // nil: no reference
	scrubber *scrubber                   // nil: nothing to remove
	cache    *cache                      // nil: none
	login    *secrets.Session            // nil: not logged in
	renderer *renderer                   // nil: no templates, or they are not rendered yet
	fixed    values                      // what is not followed
	group    atomic.Pointer[secrets.Group]
	cmd      *exec.Cmd
	terminal atomic.Pointer[terminal] // that the program has now; nil: none of its own

	changes chan *change
	runs    chan struct{} // closed when the program has been started

	ctx    context.Context // of the work below, beside the program
	cancel context.CancelFunc
	work   sync.WaitGroup

	delivering sync.Mutex // held while the program is given values; guards applied
	applied    values
}

func newJob(o *Options) *job {
	j := &job{Options: o, changes: make(chan *change), runs: make(chan struct{}), fixed: noValues()}
	j.ctx, j.cancel = context.WithCancel(context.Background())
	if o.StopTimeout == 0 {
		o.StopTimeout = DefaultStopTimeout
	}
	if o.pause == nil {
		o.pause = sleep
	}
	warn := o.Warn
	o.Warn = func(text string) { j.aside(func() { warn(text) }) }
	return j
}

// aside calls fn, which prints, so that it can be read while the program has its
// own terminal.
func (j *job) aside(fn func()) {
	if t := j.terminal.Load(); t != nil {
		t.aside(fn)
		return
	}
	fn()
}

// prepare does all that can fail before the program runs, cheapest first.
func (j *job) prepare(ctx context.Context) (err error) {
	if j.path, err = lookPath(j.Command[0]); err != nil {
		return err
	}
	if err := checkArguments(j.Command, j.ConfigFile != ""); err != nil {
		return local(err)
	}
	slots, err := j.collect()
	if err != nil {
		return local(err)
	}
	if err := errors.Join(j.checkOnChange(j.environment), j.checkFiles()); err != nil {
		return local(err)
	}
	j.slots, j.parts = slots.templates, map[string]bool{}
	asks := slots.hasReferences() || len(j.templates) > 0
	if j.Scrub && asks {
		j.slots, j.parts = slots.withParts()
		j.scrubber = newScrubber(j.slots, j.Warn)
	}
	j.names = sortedNames(j.slots)
	first, err := j.resolve(ctx, asks)
	if err != nil {
		return err
	}
	j.cmd, err = j.command(first)
	j.applied = first
	return local(err)
}

// collect reads all that may have references.
func (j *job) collect() (*slots, error) {
	var err error
	if j.environment, err = collect(j.Env, j.EnvFiles, j.Override); err != nil {
		return nil, err
	}
	if j.templates, err = loadTemplates(j.Templates, j.environment.getenv); err != nil {
		return nil, err
	}
	slots := &slots{warn: j.Warn}
	j.environment.find(slots)
	for _, f := range j.Files {
		slots.add(f.label(), f.Reference, strictly)
	}
	if j.ConfigFile != "" {
		if j.config, err = loadConfig(j.ConfigFile); err != nil {
			return nil, err
		}
		if err := j.config.find(slots); err != nil {
			return nil, err
		}
	}
	return slots, errors.Join(slots.err(), j.useManifest(slots))
}

// checkFiles refuses files that would not be what was meant.
func (j *job) checkFiles() error {
	var problems []error
	seen := map[string]bool{}
	for _, f := range j.Files {
		if t, err := secrets.Parse(f.Reference); f.from == nil && err == nil && len(t.References()) == 0 {
			problems = append(problems, fmt.Errorf("%s: it is no reference: want vault:PATH#KEY, or text with ${vault:PATH#KEY}", f.label()))
		}
		if seen[f.Name] {
			problems = append(problems, fmt.Errorf("%s: it is given twice", f.label()))
		}
		seen[f.Name] = true
		if isLogin(f.pathVariable()) {
			problems = append(problems, fmt.Errorf("%s: $%s is what we log in with: choose another name", f.label(), f.pathVariable()))
		}
	}
	for _, t := range j.templates {
		if seen[t.destination] {
			problems = append(problems, fmt.Errorf("%s: two files of that name", t.destination))
		}
		seen[t.destination] = true
		problems = append(problems, t.check(j.AllowDisk))
	}
	if j.Credentials {
		for _, name := range j.environment.credentials() {
			if !fileName.MatchString(name) {
				problems = append(problems, fmt.Errorf("%s: with -credentials the variable becomes a file, and this is no name for one", name))
			}
		}
	}
	return errors.Join(problems...)
}

// command makes a command, and the files, in place of those before.
func (j *job) command(v values) (*exec.Cmd, error) {
	if j.scrubber != nil {
		j.scrubber.learn(v)
	}
	if err := j.checkEntries(v); err != nil {
		return nil, err
	}
	variables, err := j.environment.forChild(v, j.Credentials)
	if err != nil {
		return nil, err
	}
	d := &delivery{variables: variables, args: j.Command}
	if err := j.deliverFiles(d, j.environment, v); err != nil {
		return nil, err
	}
	if j.config != nil {
		if err := j.deliverConfig(d, v); err != nil {
			return nil, err
		}
	}
	if err := writeOutputs(d.outputs); err != nil {
		return nil, err
	}
	for _, path := range d.absent {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return &exec.Cmd{Path: j.path, Args: d.args, Env: lastOfEach(d.variables)}, nil
}

// deliverConfig adds the copy of the config.
func (j *job) deliverConfig(d *delivery, v values) error {
	content, err := j.config.fill(v)
	if err != nil {
		return err
	}
	dir, err := j.folder(configFolder)
	if err != nil {
		return err
	}
	o := output{path: dir + "/" + j.config.base(), content: content, mode: 0o600}
	d.outputs = append(d.outputs, o)
	d.args = placeFile(j.Command, o.path)
	return nil
}

// close removes and revokes what was made for the program. It may be called at
// any stage.
func (j *job) close() {
	j.cancel()
	j.work.Wait()
	if j.private != nil {
		if err := j.private.Close(); err != nil {
			j.Warn("the files of the program could not be removed: " + err.Error())
		}
	}
	for _, t := range j.templates {
		if t.isElsewhere() {
			_ = os.Remove(t.destination) // it may never have been written
		}
	}
	if g := j.group.Load(); g != nil {
		_ = g.Close() // the session, whose end could fail, is not its own
	}
	if j.renderer != nil {
		j.renderer.close()
	}
	if j.login != nil {
		if err := j.login.Close(); err != nil {
			j.Warn(err.Error())
		}
	}
}
