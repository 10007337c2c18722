package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/template"
)

func renderCommand() Command {
	return Command{
		Name: "render", Args: "TEMPLATE[:DESTINATION]...", MinArgs: 1, MaxArgs: -1, Flags: ClientFlags,
		Short: "Render templates with secrets, once",
		Long: `
Templates are those of consul-template and Vault Agent, and may have our references
as well:

    {{ with secret "secret/data/db" }}password = {{ .Data.data.password }}{{ end }}
    url = postgres://app:${vault:secret/db#password}@db/app

Without DESTINATION the result goes to the standard output; "-" reads the template
from the standard input. A file is replaced in one step, or not at all; a file that
has the content already is left as it is, and a symbolic link is not followed.
Nothing is written unless all templates could be rendered.

A template can read no files of this machine, but those below -files. To keep files
current while secrets change, see "coffer agent".

  Show the result:
      $ coffer render app.conf.tmpl
  Write a file for a group:
      $ coffer render -mode=0640 -group=www-data app.conf.tmpl:/run/app/app.conf
  A template that is typed:
      $ echo '${vault:secret/db#password}' | coffer render -`,
		New: newRender,
	}
}

type renderFlags struct {
	mode, user, group *string
	left, right       *string
	files             *string
	strict            *bool
	backup, dirs      *bool
	once              *bool
}

func newRender(f *Flags) Run {
	o := &renderFlags{
		mode:   f.String("mode", "", "Mode of the files, in octal digits. Default: as they have, new ones 0600."),
		user:   f.String("user", "", "Owner of the files."),
		group:  f.String("group", "", "Group of the files."),
		left:   f.String("left-delimiter", "", "What begins an action, in place of {{."),
		right:  f.String("right-delimiter", "", "What ends an action, in place of }}."),
		files:  f.String("files", "", "Folder that templates may read files of."),
		strict: f.Bool("error-on-missing-key", false, "A field that is not there is an error, not <no value>."),
		backup: f.Bool("backup", false, "Keep what a file had, with .bak behind its name."),
		dirs:   f.Bool("create-dirs", false, "Make folders that are not there, for their owner alone."),
		once:   f.Bool("once", true, "As consul-template has it: once is what this command does."),
	}
	return o.run
}

// rendering is one template on its way.
type rendering struct {
	parsed      *template.Template
	destination *template.Destination // nil: the standard output
	result      *template.Result
}

func (o *renderFlags) run(ctx context.Context, c *Call) error {
	if kind, err := c.opts.dryRun(); err != nil || kind != notDry {
		return usage("Rendering makes many requests: -output-curl-string and -output-policy cannot show them")
	}
	if !*o.once {
		return usage("This command renders once; \"coffer agent\" keeps files current")
	}
	all, err := o.parse(c)
	if err != nil {
		return err
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	cl = cl.WithWrapTTL("") // wrapped answers are of no use here
	store := template.NewStore(func() *client.Client { return cl })
	var problems []error
	for _, r := range all {
		r.result, err = store.Render(ctx, r.parsed)
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return renderFailure(c, err)
	}
	for _, r := range all {
		if err := r.write(c.Stdout); err != nil {
			return local(err)
		}
	}
	return nil
}

// parse reads all templates before anybody is asked.
func (o *renderFlags) parse(c *Call) ([]*rendering, error) {
	mode, err := parseMode(*o.mode)
	if err != nil {
		return nil, usage("-mode: %v", err)
	}
	var all []*rendering
	var problems []error
	for _, arg := range c.Args {
		source, path, _ := strings.Cut(arg, ":")
		text, err := readTemplate(c, source)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		parsed, err := template.Parse(string(text), template.Options{
			Name: source, Left: *o.left, Right: *o.right, ErrorOnMissingKey: *o.strict, Getenv: c.Getenv, ReadFile: o.readFile(),
		})
		problems = append(problems, err)
		r := &rendering{parsed: parsed}
		if path != "" {
			r.destination = &template.Destination{
				Path: path, Mode: mode, User: *o.user, Group: *o.group, Backup: *o.backup, CreateDirs: *o.dirs,
			}
		}
		all = append(all, r)
	}
	return all, local(errors.Join(problems...))
}

func readTemplate(c *Call, source string) ([]byte, error) {
	if source == "-" {
		return io.ReadAll(c.Stdin)
	}
	return os.ReadFile(source)
}

// readFile returns what templates may read; nil: nothing.
func (o *renderFlags) readFile() func(string) ([]byte, error) {
	if *o.files == "" {
		return nil
	}
	return func(path string) ([]byte, error) { return template.ReadBelow(*o.files, path) }
}

func (r *rendering) write(stdout io.Writer) error {
	if r.destination == nil {
		_, err := stdout.Write(r.result.Content.Reveal())
		return err
	}
	_, err := r.destination.Write(r.result.Content)
	return err
}

func parseMode(text string) (fs.FileMode, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 8, 32)
	if err != nil || n == 0 || n > 0o777 {
		return 0, errors.New("want octal digits, such as 0640")
	}
	return fs.FileMode(n), nil
}

// renderFailure tells whether the template is wrong or the server.
func renderFailure(c *Call, err error) error {
	f := &failure{code: exitLocal, text: fmt.Sprint(err)}
	if client.StatusOf(err) != 0 || isNetwork(err) || errors.Is(err, template.ErrAbsent) {
		f.code, f.hint = exitServer, c.hint(err)
	}
	return f
}

func isNetwork(err error) bool {
	var network net.Error
	return errors.As(err, &network)
}
