package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/builtin"
	"github.com/cofferhq/coffer/internal/dotenv"
	"github.com/cofferhq/coffer/internal/drill"
	"github.com/cofferhq/coffer/internal/manifest"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/secrets"
)

func drillEnvCommand() Command {
	return Command{
		Name: "drill env", Flags: ClientFlags | FormatFlag,
		Short: "Measure how long a stolen .env and environment stay of use",
		Long: `
Takes what a thief would have who copies an application's .env file and the
environment of its process: the login in the file (a token, an AppRole's secret
id), its plain values, and the values of all references. Then each secret that has
a rotation is rotated, and every credential is tried, one login each round, until
it is refused. A refusal counts only while what the application would use now is
accepted. The table shows the time until each was useless.

What can be tried: tokens and AppRole logins; PostgreSQL, MySQL and Redis, as URLs
or as variables such as DB_HOST, DB_USER and DB_PASSWORD; anything else only at a
URL that -bearer or -basic names. All else is listed as not tried.

This really rotates, and really logs in. A secret id or token with a number of uses
loses one with each attempt, and a system may lock an account after some refused
logins: -max-tries. The plan is shown, and asked about, first. The command asks the
server as you, who must be able to read the secrets and to rotate them.

Exit codes: 0 if all was useless within -budget, 1 if not, 2 if the server refuses.

  The application in this folder:
      $ coffer drill env -env-file=.env
  As after a theft: nobody is waited for, and what can be revoked is:
      $ coffer drill env -env-file=.env -now -revoke -budget=1m -yes
  Only look how long things live, and try one value at a service:
      $ coffer drill env -env-file=.env -rotate=false -bearer=API_KEY=https://api.example.com/me`,
		New: newDrillEnv,
	}
}

type drillFlags struct {
	envFiles                 *[]string
	manifest, authMount      *string
	budget, every            *string
	maxTries                 *int
	rotate, now, revoke, yes *bool
	bearer, basic            *map[string]string
}

func newDrillEnv(f *Flags) Run {
	o := &drillFlags{
		envFiles:  f.List("env-file", "File that is stolen."),
		manifest:  f.String("manifest", "", "Manifest whose references the process has, too."),
		authMount: f.String("auth-mount", "", "Where the application's AppRole is mounted. Default: as the file says, else approle."),
		budget:    f.Duration("budget", "Time in which all must be useless. Default: 10m."),
		every:     f.Duration("every", "Time between rounds. Default: 5s."),
		maxTries:  f.Int("max-tries", 150, "Most attempts with one credential."),
		rotate:    f.Bool("rotate", true, "Rotate what has a rotation. False: measure only."),
		now:       f.Bool("now", false, "Rotate as in an emergency: wait for nobody before the old secret is ended."),
		revoke:    f.Bool("revoke", false, "Revoke the stolen tokens, secret ids and leases."),
		yes:       f.Bool("yes", false, "Do not ask."),
		bearer:    f.Map("bearer", "Variable, and the URL at which it is tried as a bearer token."),
		basic:     f.Map("basic", "Variable with user:password, and the URL at which it is tried."),
	}
	return o.run
}

// drilled is a drill under way.
type drilled struct {
	flags     *drillFlags
	call      *Call
	client    *client.Client
	resolver  *secrets.Resolver
	names     []string                    // of variables, in order
	plain     map[string]secret.Bytes     // those that are no references
	templates map[string]secrets.Template // those that are
	reads     []secrets.Read              // of the theft
	rotations map[string]string           // variable → rotation that replaces it
}

func (o *drillFlags) run(ctx context.Context, c *Call) error {
	if kind, err := c.opts.dryRun(); err != nil || kind != notDry {
		return usage("A drill makes many requests: -output-curl-string and -output-policy cannot show them")
	}
	options, err := o.options()
	if err != nil {
		return err
	}
	d := &drilled{flags: o, call: c, plain: map[string]secret.Bytes{}, templates: map[string]secrets.Template{}, rotations: map[string]string{}}
	if err := d.gather(); err != nil {
		return err
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	d.client = cl.WithWrapTTL("")
	d.resolver = secrets.NewResolver(d.client)
	plan, err := d.steal(ctx)
	if err != nil {
		return err
	}
	defer (&reader{client: d.client}).giveBack(ctx, d.reads)
	if *o.rotate {
		if err := d.findRotations(ctx); err != nil {
			return err
		}
		options.Rotate = d.rotateAll
	}
	d.printPlan(plan, options)
	if ok, err := c.confirm("Begin the drill?", *o.yes); err != nil || !ok {
		return err
	}
	report, err := plan.Run(ctx, options)
	if errors.Is(err, drill.ErrNothing) {
		d.printReport(report)
		return local(err)
	}
	if err != nil {
		return err
	}
	return d.finish(report, options.Budget)
}

func (o *drillFlags) options() (drill.Options, error) {
	options := drill.Options{Budget: 10 * time.Minute, Every: 5 * time.Second, MaxTries: *o.maxTries, Revoke: *o.revoke}
	for _, f := range []struct {
		name, text string
		to         *time.Duration
	}{{"budget", *o.budget, &options.Budget}, {"every", *o.every, &options.Every}} {
		d, err := positive(f.name, f.text)
		if err != nil {
			return options, err
		}
		if d > 0 {
			*f.to = d
		}
	}
	if *o.maxTries < 2 {
		return options, usage("-max-tries must be two at least: one before, and one after")
	}
	if *o.now && !*o.rotate {
		return options, usage("-now is about rotations, and -rotate=false wants none")
	}
	for _, p := range o.probes() {
		if err := p.Check(); err != nil {
			return options, usage("-bearer, -basic: %v", err)
		}
	}
	return options, nil
}

func (o *drillFlags) probes() (all []drill.Probe) {
	for _, name := range slices.Sorted(maps.Keys(*o.bearer)) {
		all = append(all, drill.Probe{Name: name, URL: (*o.bearer)[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(*o.basic)) {
		all = append(all, drill.Probe{Name: name, URL: (*o.basic)[name], Basic: true})
	}
	return all
}

// gather collects the application's variables: of the files all, of the manifest
// and of our own environment what comes from the store. Our own login is not the
// application's.
func (d *drilled) gather() error {
	files := *d.flags.envFiles
	if len(files) == 0 && *d.flags.manifest == "" {
		if _, err := os.Stat(dotenvFile); err == nil {
			files = []string{dotenvFile}
		}
	}
	for _, path := range files {
		if err := d.gatherFile(path); err != nil {
			return err
		}
	}
	if *d.flags.manifest != "" || len(files) == 0 {
		m, err := loadManifest(*d.flags.manifest)
		if err != nil {
			return err
		}
		d.gatherManifest(m)
	}
	if d.call.Environ == nil {
		return nil
	}
	for _, entry := range d.call.Environ() {
		name, text, _ := strings.Cut(entry, "=")
		if t, err := secrets.Parse(text); err == nil && len(t.References()) > 0 && !dotenv.IsLogin(name) {
			d.set(name, t)
		}
	}
	return nil
}

func (d *drilled) gatherFile(path string) error {
	f, err := dotenv.Load(path)
	if err != nil {
		return local(err)
	}
	values, err := f.Values()
	if err != nil {
		return local(fmt.Errorf("%s, %w", path, err))
	}
	for _, s := range f.Statements() {
		value, ok := values[s.Name]
		if !ok {
			continue
		}
		t, err := secrets.Parse(value.RevealText())
		if err != nil {
			return local(fmt.Errorf("%s, line %d: %s: %w", path, s.Line, s.Name, err))
		}
		d.set(s.Name, t)
	}
	return nil
}

func (d *drilled) gatherManifest(m *manifest.Manifest) {
	for _, e := range m.Entries {
		name := e.Env
		if name == "" || e.File != "" {
			name = e.Name
		}
		_, isPlain := d.plain[name]
		if _, known := d.templates[name]; known || isPlain {
			continue // what the files say wins
		}
		if t, ok, err := e.Template("", false); ok && err == nil {
			d.set(name, t)
		}
	}
}

func (d *drilled) set(name string, t secrets.Template) {
	if !slices.Contains(d.names, name) {
		d.names = append(d.names, name)
	}
	delete(d.plain, name)
	delete(d.templates, name)
	if len(t.References()) > 0 {
		d.templates[name] = t
		return
	}
	text, _ := t.Plain()
	d.plain[name] = secret.Text(text)
}

// steal reads what the process would have, and says what can be tried of it.
func (d *drilled) steal(ctx context.Context) (*drill.Plan, error) {
	resolved, err := d.resolver.Resolve(ctx, d.templates)
	if err != nil {
		return nil, err
	}
	d.reads = resolved.Reads()
	loot := drill.Loot{
		Current: d.current, Databases: builtin.Databases(), Operator: d.client, Probes: d.flags.probes(),
		Mount: appRoleMount(func(name string) string { return d.plain[name].RevealText() }, *d.flags.authMount),
	}
	for _, name := range d.names {
		v := drill.Value{Name: name, Text: d.plain[name]}
		if _, ok := d.templates[name]; ok {
			text, _ := resolved.Value(name)
			v.Text, v.Referenced = secret.Text(text), true
		}
		loot.Values = append(loot.Values, v)
	}
	plan := drill.Collect(loot)
	for _, cred := range plan.Credentials {
		for _, read := range d.reads {
			if cred.Revoke == nil && read.LeaseID != "" && slices.Contains(read.Names, cred.Name) {
				cred.Revoke = func(ctx context.Context) error {
					_, err := d.client.Write(ctx, "sys/leases/revoke", map[string]any{"lease_id": read.LeaseID, "sync": true})
					return err
				}
			}
		}
	}
	return plan, nil
}

// current reads some variables anew.
func (d *drilled) current(ctx context.Context, names []string) (map[string]secret.Bytes, func(), error) {
	values, asked := map[string]secret.Bytes{}, map[string]secrets.Template{}
	for _, name := range names {
		if t, ok := d.templates[name]; ok {
			asked[name] = t
		} else {
			values[name] = d.plain[name]
		}
	}
	if len(asked) == 0 {
		return values, func() {}, nil
	}
	resolved, err := d.resolver.Resolve(ctx, asked)
	if err != nil {
		return nil, nil, err
	}
	for name := range asked {
		text, _ := resolved.Value(name)
		values[name] = secret.Text(text)
	}
	return values, func() { (&reader{client: d.client}).giveBack(ctx, resolved.Reads()) }, nil
}

// findRotations finds which rotation replaces what was read.
func (d *drilled) findRotations(ctx context.Context) error {
	s, err := d.client.List(ctx, rotationsPath)
	switch status := client.StatusOf(err); {
	case status >= 400 && status < 500:
		d.call.Warn("No rotation can be found: " + d.call.describe(err))
		return nil
	case err != nil:
		return failed(err, "listing rotations")
	case s == nil:
		return nil
	}
	names, _ := s.Data["keys"].([]any)
	for _, name := range names {
		target := cleanPath(textAt(object(object(s.Data, "key_info"), fmt.Sprint(name)), "target"))
		for _, read := range d.reads {
			if read.Path != target && strings.Replace(read.Path, "/data/", "/", 1) != target {
				continue
			}
			for _, variable := range read.Names {
				d.rotations[variable] = fmt.Sprint(name)
			}
		}
	}
	return nil
}

// due are the rotations to begin, each once.
func (d *drilled) due() []string {
	return slices.Compact(slices.Sorted(maps.Values(d.rotations)))
}

func (d *drilled) rotateAll(ctx context.Context) error {
	for _, name := range d.due() {
		_, err := d.client.Write(ctx, rotationsPath+"/"+name+"/rotate", map[string]any{"now": *d.flags.now})
		if err != nil {
			return failed(err, "rotating %s", name)
		}
	}
	return nil
}
