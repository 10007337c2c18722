package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/dotenv"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/secrets"
)

func envImportCommand() Command {
	return Command{
		Name: "env import", Args: "[FILE]", MaxArgs: 1, Flags: ClientFlags | FormatFlag,
		Short: "Move the secrets of a .env file into the store",
		Long: `
The values that look like secrets are written to one secret of a key-value engine,
version 2, under their names, and the file gets references in their place:

    DB_PASSWORD='vault:secret/app#DB_PASSWORD'

What the secret holds under other names stays. Nothing is overwritten unless
-overwrite says so, and the plan is shown, and asked about, first. The store is
written before the file, and read back; whenever this is interrupted, it can be
begun again. A backup of the file, for its owner alone and ignored by git, is left
beside it: delete it once the program has started with references. What git has
seen of the file is in its history: rotate those secrets.

What one logs in with (COFFER_SECRET_ID and the like) is never moved: it is the
one secret that cannot be in the store.

  Look first:
      $ coffer env import -to=secret/app -dry-run
  Move them, and these two in any case:
      $ coffer env import -to=secret/app -keys=SMTP_USER,SMTP_PASS .env.production`,
		New: func(f *Flags) Run {
			o := &importFlags{
				to:        f.String("to", "", "Path of the secret, as \"kv put\" takes it. Must be given."),
				keys:      f.Commas("keys", "Names of the variables to move, instead of those that look like secrets."),
				all:       f.Bool("all", false, "Move all variables."),
				overwrite: f.Bool("overwrite", false, "Replace what the secret holds under the same names."),
				dryRun:    f.Bool("dry-run", false, "Show what would be done."),
				yes:       f.Bool("yes", false, "Do not ask."),
			}
			return o.run
		},
	}
}

type importFlags struct {
	to                          *string
	keys                        *[]string
	all, overwrite, dryRun, yes *bool
}

// How a moved value stands to what the secret holds.
const (
	importNew     = "new"
	importSame    = "same"
	importReplace = "replace"
	importExists  = "exists, with another value"
)

// moved is one variable of an import.
type moved struct {
	Name      string `json:"name"`
	Line      int    `json:"line"`
	Why       string `json:"why"`
	Store     string `json:"store"`
	Reference string `json:"reference"`

	statement *dotenv.Statement
	value     secret.Bytes
}

// importPlan is what is to be done, and by and by what was.
type importPlan struct {
	File    string   `json:"file"`
	Secret  string   `json:"secret"`
	Moved   []*moved `json:"moved"`
	Version int      `json:"version,omitempty"` // that holds the values
	Backup  string   `json:"backup,omitempty"`
	DryRun  bool     `json:"dry_run"`

	file *dotenv.File
	was  []byte
	at   kvPlace
	held map[string]any // what the secret holds
	cas  int
}

func (o *importFlags) run(ctx context.Context, c *Call) error {
	if kind, err := c.opts.dryRun(); err != nil || kind != notDry {
		return usage("An import makes many requests: -dry-run shows what it would do")
	}
	p, err := o.plan(c)
	if err != nil {
		return err
	}
	if len(p.Moved) == 0 {
		c.Print(p.File + ": nothing looks like a secret. -keys and -all choose otherwise.")
		return nil
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	if err := p.compare(ctx, c, cl, *o.overwrite); err != nil {
		return err
	}
	p.warn(c)
	if c.table() {
		p.print(c)
	}
	if err := p.conflict(); err != nil {
		return err
	}
	if !*o.dryRun {
		question := fmt.Sprintf("Write %s to %s, and references to %s?", count(len(p.Moved), "value", "values"), p.Secret, p.File)
		if ok, err := c.confirm(question, *o.yes); err != nil || !ok {
			return err
		}
		if err := p.carryOut(ctx, cl); err != nil {
			return err
		}
	}
	return p.report(c, *o.dryRun)
}

// plan chooses what to move, and makes the new file in memory.
func (o *importFlags) plan(c *Call) (*importPlan, error) {
	p := &importPlan{File: c.fileArgument(0), Secret: cleanPath(*o.to)}
	switch {
	case p.Secret == "":
		return nil, usage("-to is missing: where to write, as in -to=secret/app")
	case *o.all && len(*o.keys) > 0:
		return nil, usage("-all and -keys exclude each other")
	}
	var err error
	if p.file, err = dotenv.Load(p.File); err != nil {
		return nil, local(err)
	}
	p.was = p.file.Content()
	values, err := p.file.Values()
	if err != nil {
		return nil, local(fmt.Errorf("%s, %w", p.File, err))
	}
	if p.Moved, err = o.choose(p.file, values); err != nil {
		return nil, local(fmt.Errorf("%s: %w", p.File, err))
	}
	for _, m := range p.Moved {
		m.Reference = fmt.Sprintf("%s%s#%s", secrets.Vault, p.Secret, m.Name)
		t, err := secrets.Parse(m.Reference)
		if err != nil || len(t.References()) != 1 || t.References()[0].Path != p.Secret {
			return nil, usage("-to=%s cannot be written as a reference: choose a path of letters, digits, - and _", p.Secret)
		}
	}
	return p, nil
}

// choose returns what to move, in the order of the file.
func (o *importFlags) choose(f *dotenv.File, values map[string]secret.Bytes) ([]*moved, error) {
	var all []*moved
	lines := map[string]int{} // name → line
	for _, s := range f.Statements() {
		value, why := values[s.Name], o.reason(s, values[s.Name].RevealText())
		if why == "" {
			continue
		}
		if first, ok := lines[s.Name]; ok {
			return nil, fmt.Errorf("lines %d and %d both set %s: remove one", first, s.Line, s.Name)
		}
		if f.Doubt(s) == dotenv.Serious {
			return nil, fmt.Errorf("line %d: it is not clear what the value of %s is: \"%s env lint\" shows how libraries read it", s.Line, s.Name, program)
		}
		lines[s.Name] = s.Line
		all = append(all, &moved{Name: s.Name, Line: s.Line, Why: why, statement: s, value: value})
	}
	for _, name := range *o.keys {
		if lines[name] == 0 {
			return nil, fmt.Errorf("%s cannot be moved: it is not there, is empty, a reference already, or what one logs in with", name)
		}
	}
	for _, s := range f.Statements() {
		for _, m := range all {
			if lines[s.Name] == 0 && s.Mentions(m.Name) {
				return nil, fmt.Errorf("line %d puts the value of %s into %s, which a reference would break: name both with -keys", s.Line, m.Name, s.Name)
			}
		}
	}
	return all, nil
}

// reason says why a variable is moved; empty: it is not.
func (o *importFlags) reason(s *dotenv.Statement, value string) string {
	if s.Name == "" || value == "" || dotenv.IsLogin(s.Name) || dotenv.IsReference(value) {
		return ""
	}
	switch {
	case len(*o.keys) > 0 && slices.Contains(*o.keys, s.Name):
		return "named with -keys"
	case len(*o.keys) > 0:
		return ""
	case *o.all:
		return "-all"
	}
	return dotenv.Suspicion(s.Name, value)
}

// compare reads what the secret holds.
func (p *importPlan) compare(ctx context.Context, c *Call, cl *client.Client, overwrite bool) error {
	c.Args = []string{p.Secret}
	var err error
	if p.at, err = c.place(ctx, cl, ""); err != nil {
		return err
	}
	if p.at.version != 2 {
		return usage("%s is on no key-value engine of version 2: without versions, what others write meanwhile would be lost", p.Secret)
	}
	kv, err := cl.ReadKV(ctx, p.Secret, 0)
	if err != nil && !errors.Is(err, client.ErrNotFound) {
		return failed(err, "reading %s", p.Secret)
	}
	p.held, p.cas = kv.Data, kv.Version
	for _, m := range p.Moved {
		held, ok := p.held[m.Name]
		switch text, isText := held.(string); {
		case !ok:
			m.Store = importNew
		case isText && secret.Text(text).Equal(m.value):
			m.Store = importSame
		case overwrite:
			m.Store = importReplace
		default:
			m.Store = importExists
		}
	}
	return nil
}

func (p *importPlan) conflict() error {
	n := 0
	for _, m := range p.Moved {
		if m.Store == importExists {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return &failure{
		code: exitLocal, text: fmt.Sprintf("%s holds another value under %s: nothing is done", p.Secret, count(n, "of these names", "of these names")),
		hint: "Move to another path, leave them out with -keys, or replace them with -overwrite.",
	}
}

// warn tells of values that other libraries read in another way.
func (p *importPlan) warn(c *Call) {
	for _, m := range p.Moved {
		if p.file.Doubt(m.statement) != dotenv.Sure {
			c.Warn(fmt.Sprintf("%s, line %d: libraries read %s differently; what is stored is what %s reads.", p.File, m.Line, m.Name, dotenv.Dialects[0].Name))
		}
	}
}

func (p *importPlan) print(c *Call) {
	rows := [][]string{{"Name", "Line", "Why", p.Secret}}
	for _, m := range p.Moved {
		rows = append(rows, []string{m.Name, fmt.Sprint(m.Line), m.Why, m.Store})
	}
	fmt.Fprint(c.Stdout, layout(rows))
}

// carryOut writes the store, sees that it has the values, and then writes the file:
// at no time is a value nowhere.
func (p *importPlan) carryOut(ctx context.Context, cl *client.Client) error {
	for _, m := range p.Moved {
		if !p.file.Set(m.statement, m.Reference) {
			return local(fmt.Errorf("%s, line %d: the reference cannot be written there", p.File, m.Line))
		}
	}
	if err := p.store(ctx, cl); err != nil {
		return err
	}
	kv, err := cl.ReadKV(ctx, p.Secret, p.Version)
	if err != nil {
		return failed(err, "reading back %s; %s is as it was", p.Secret, p.File)
	}
	for _, m := range p.Moved {
		if text, ok := kv.Data[m.Name].(string); !ok || !secret.Text(text).Equal(m.value) {
			return &failure{code: exitServer, text: fmt.Sprintf("%s does not give back what was written under %s; %s is as it was", p.Secret, m.Name, p.File)}
		}
	}
	if p.Backup, err = dotenv.Backup(ctx, p.File); err != nil {
		return local(err)
	}
	return local(dotenv.Replace(p.File, p.was, p.file.Content()))
}

// store writes the values, unless the secret has them all.
func (p *importPlan) store(ctx context.Context, cl *client.Client) error {
	p.Version = p.cas
	if !slices.ContainsFunc(p.Moved, func(m *moved) bool { return m.Store != importSame }) {
		return nil
	}
	data := maps.Clone(p.held)
	if data == nil {
		data = map[string]any{}
	}
	for _, m := range p.Moved {
		data[m.Name] = m.value.RevealText()
	}
	_, err := cl.Write(ctx, p.at.full("data"), kvBody(p.at, data, p.cas))
	if client.StatusOf(err) == http.StatusBadRequest {
		return failed(err, "writing %s, which someone else has changed meanwhile: begin again", p.Secret)
	}
	p.Version = p.cas + 1 // that is what check-and-set promises
	return failed(err, "writing %s", p.Secret)
}

func (p *importPlan) report(c *Call, dryRun bool) error {
	p.DryRun = dryRun
	if !c.table() {
		return c.PrintValue(p)
	}
	if dryRun {
		c.Print("\nNothing was written: -dry-run.")
		return nil
	}
	c.Success("%s now holds references to version %d and later of %s.", p.File, p.Version, p.Secret)
	c.Print(fmt.Sprintf("The values are in %s, too: delete it when the program has started with \"%s run -env-file=%s\".", p.Backup, program, p.File))
	return nil
}
