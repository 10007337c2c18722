package runner

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/file"
	"github.com/cofferhq/coffer/internal/template"
)

// Template is a file that is made of a template with secrets.
type Template struct {
	Source      string // path of the template
	Destination string // name of a file among the program's; or an absolute path
}

// ParseTemplate reads SOURCE:DESTINATION.
func ParseTemplate(text string) (Template, error) {
	source, destination, ok := strings.Cut(text, ":")
	if !ok || source == "" || destination == "" {
		return Template{}, errors.New("want SOURCE:DESTINATION")
	}
	if !filepath.IsAbs(destination) && !fileName.MatchString(destination) {
		return Template{}, fmt.Errorf("%q is neither a name for a file nor an absolute path", destination)
	}
	return Template{Source: source, Destination: destination}, nil
}

// fileTemplate is a template that was read.
type fileTemplate struct {
	name        string // the path of its source
	text        string
	destination string
	parsed      *template.Template
}

func loadTemplates(all []Template, getenv func(string) string) ([]fileTemplate, error) {
	var loaded []fileTemplate
	var problems []error
	for _, t := range all {
		text, err := file.Read(t.Source, maxFileMiB)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		parsed, err := template.Parse(string(text), template.Options{Name: t.Source, ErrorOnMissingKey: true, Getenv: func(name string) string {
			if isLogin(name) {
				return ""
			}
			return getenv(name)
		}})
		if err != nil {
			problems = append(problems, err)
			continue
		}
		loaded = append(loaded, fileTemplate{name: t.Source, text: string(text), destination: t.Destination, parsed: parsed})
	}
	return loaded, errors.Join(problems...)
}

// isElsewhere says whether the file lies outside of the private folder.
func (t fileTemplate) isElsewhere() bool { return filepath.IsAbs(t.destination) }

func (t fileTemplate) path(dir string) string {
	if t.isElsewhere() {
		return t.destination
	}
	return filepath.Join(dir, t.destination)
}

// check refuses a destination on a disk, where the secrets would outlive the file.
func (t fileTemplate) check(allowDisk bool) error {
	if !t.isElsewhere() || allowDisk || isMemory(filepath.Dir(t.destination)) {
		return nil
	}
	return fmt.Errorf("%s does not lie in memory (tmpfs): give a name alone, for a file in $%s, or allow it with -allow-disk", t.destination, filesVariable)
}

// renderer keeps what the templates give.
type renderer struct {
	job   *job
	store *template.Store

	mu       sync.Mutex // guards the field below
	rendered []rendering
}

func newRenderer(j *job) *renderer {
	return &renderer{job: j, store: template.NewStore(func() *client.Client { return j.client })}
}

// render renders all templates anew.
func (r *renderer) render(ctx context.Context) error {
	var all []rendering
	var results []*template.Result
	for _, t := range r.job.templates {
		result, err := r.store.RenderFresh(ctx, t.parsed)
		if err != nil {
			return err
		}
		results = append(results, result)
		all = append(all, rendering{name: t.name, content: result.Content, secrets: r.store.Secrets(result)})
	}
	r.store.Retain(results)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rendered = all
	return nil
}

func (r *renderer) current() []rendering {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rendered
}

// follow renders the templates whenever a secret has changed, and has the program
// told, until ctx ends.
func (r *renderer) follow(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() {
		r.store.Follow(ctx, template.Following{Interval: r.job.Interval, Report: func(err error) { r.job.Warn(err.Error()) }})
	})
	for {
		changed := r.store.Changed()
		// Before the wait, too: what has changed since the start is not missed.
		for attempt := 0; ; attempt++ {
			err := r.render(ctx)
			if err == nil {
				err = r.job.deliver(ctx)
			}
			if err == nil || ctx.Err() != nil {
				break
			}
			if attempt == 0 {
				r.job.Warn(fmt.Sprintf("the program could not be given new values, which is tried again: %v", err))
			}
			if r.job.pause(ctx, backOff(attempt, awayPause)) != nil {
				return
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// revokeTimeout bounds how long the end waits for the server.
const revokeTimeout = 5 * time.Second

// close gives the leases back. It is called when follow has returned.
func (r *renderer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), revokeTimeout)
	defer cancel()
	if err := r.store.Revoke(ctx); err != nil {
		r.job.Warn(err.Error())
	}
}
