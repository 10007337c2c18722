package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cofferhq/coffer/internal/stanza"
	"github.com/cofferhq/coffer/internal/template"
)

// templateDraft is a template whose text was not read yet.
type templateDraft struct {
	Template
	line             int
	variable         string // of an env_template
	source, contents string
	options          template.Options
	sandbox          string
}

// textKeys are those of every template.
var textKeys = keys[templateDraft]{
	"source":               text(func(t *templateDraft) *string { return &t.source }),
	"contents":             text(func(t *templateDraft) *string { return &t.contents }),
	"error_on_missing_key": flag(func(t *templateDraft) *bool { return &t.options.ErrorOnMissingKey }),
	"left_delimiter":       text(func(t *templateDraft) *string { return &t.options.Left }),
	"right_delimiter":      text(func(t *templateDraft) *string { return &t.options.Right }),
	"sandbox_path":         text(func(t *templateDraft) *string { return &t.sandbox }),
	"error_fatal":          ignored[templateDraft]("template_config.exit_on_retry_failure says what ends the agent"),
	"function_denylist":    refused[templateDraft]("functions that reach this machine are off anyway, but for file below sandbox_path"),
	"function_blacklist":   refused[templateDraft]("functions that reach this machine are off anyway, but for file below sandbox_path"),
	"wait":                 ignored[templateDraft]("a change is rendered as soon as it is seen"),
}

// templateKeys are those of a template with a file.
var templateKeys = with(textKeys, keys[templateDraft]{
	"destination":      text(func(t *templateDraft) *string { return &t.Destination.Path }),
	"create_dest_dirs": flag(func(t *templateDraft) *bool { return &t.Destination.CreateDirs }),
	"perms":            mode(func(t *templateDraft) *fs.FileMode { return &t.Destination.Mode }),
	"user":             text(func(t *templateDraft) *string { return &t.Destination.User }),
	"group":            text(func(t *templateDraft) *string { return &t.Destination.Group }),
	"uid":              text(func(t *templateDraft) *string { return &t.Destination.User }),
	"gid":              text(func(t *templateDraft) *string { return &t.Destination.Group }),
	"backup":           flag(func(t *templateDraft) *bool { return &t.Destination.Backup }),
	"command":          as(commandOf, func(t *templateDraft) *[]string { return &t.Command }),
	"command_timeout":  duration(func(t *templateDraft) *time.Duration { return &t.Timeout }),
	"exec": block(func(t *templateDraft) *templateDraft { return t }, keys[templateDraft]{
		"command": as(commandOf, func(t *templateDraft) *[]string { return &t.Command }),
		"timeout": duration(func(t *templateDraft) *time.Duration { return &t.Timeout }),
	}),
})

// with returns a table that has the rows of both.
func with[T any](a, b keys[T]) keys[T] {
	all := keys[T]{}
	for key, set := range a {
		all[key] = set
	}
	for key, set := range b {
		all[key] = set
	}
	return all
}

func readTemplates(s scope, d *draft, e stanza.Entry) error {
	bodies, err := e.Value.Blocks()
	if err != nil {
		return err
	}
	for _, body := range bodies {
		t := templateDraft{line: body.Line}
		t.Destination.CreateDirs = true // as Vault Agent has it
		templateKeys.decode(s.in(e.Key), &t, body.Entries)
		if t.Destination.Path == "" {
			s.in(e.Key).problem(body.Line, "destination", "is missing")
		}
		d.templates = append(d.templates, t)
	}
	return nil
}

func readEnvTemplates(s scope, d *draft, e stanza.Entry) error {
	bodies, err := e.Value.Blocks()
	if err != nil {
		return err
	}
	for _, named := range bodies {
		for _, one := range named.Entries {
			inner, err := one.Value.Blocks()
			if err != nil {
				return errors.New(`expected a block with the variable's name: env_template "NAME" { … }`)
			}
			at := s.in(fmt.Sprintf("env_template %q", one.Key))
			if one.Key == "" || strings.ContainsAny(one.Key, "=\x00") {
				at.problem(one.Line, "", "is no name of a variable")
			}
			if slices.ContainsFunc(d.env, func(t templateDraft) bool { return t.variable == one.Key }) {
				at.problem(one.Line, "", "is there already")
			}
			for _, body := range inner {
				t := templateDraft{line: one.Line, variable: one.Key}
				textKeys.decode(at, &t, body.Entries)
				d.env = append(d.env, t)
			}
		}
	}
	return nil
}

var execKeys = keys[Exec]{
	"command": as(commandOf, func(x *Exec) *[]string { return &x.Command }),
	"restart_on_secret_changes": func(_ scope, x *Exec, e stanza.Entry) error {
		s, err := e.Value.Plain()
		if err == nil && s != "always" && s != "never" {
			err = errors.New("expected always or never")
		}
		x.KeepRunning = s == "never"
		return err
	},
	"restart_stop_signal": func(_ scope, x *Exec, e stanza.Entry) (err error) {
		if x.StopSignal, err = e.Value.Plain(); err == nil && unix.SignalNum(x.StopSignal) == 0 {
			err = errors.New("expected the name of a signal, such as SIGTERM")
		}
		return err
	},
	"child_process_stdout": ignored[Exec]("the program writes where the agent does"),
	"child_process_stderr": ignored[Exec]("the program writes where the agent does"),
}

func readExec(s scope, d *draft, e stanza.Entry) error {
	d.Exec = &Exec{}
	if err := block(func(d *draft) *Exec { return d.Exec }, execKeys)(s, d, e); err != nil {
		return err
	}
	if len(d.Exec.Command) == 0 {
		s.problem(e.Line, "exec.command", "is missing")
	}
	return nil
}

// finish reads the templates and checks what fits what.
func (d *draft) finish(s scope, o ParseOptions) {
	for i := range d.templates {
		t := &d.templates[i]
		t.parse(s.in("template"), o)
		if t.Destination.Mode == 0 {
			s.in("template").warn(t.line, "perms", fmt.Sprintf("are not set: a new file gets %04o, where Vault Agent gives 0644", template.DefaultMode))
		}
		d.Templates = append(d.Templates, t.Template)
	}
	for i := range d.env {
		t := &d.env[i]
		t.parse(s.in(fmt.Sprintf("env_template %q", t.variable)), o)
		d.EnvTemplates = append(d.EnvTemplates, EnvTemplate{Name: t.variable, Parsed: t.Parsed})
	}
	d.checkWhole(s)
}

// parse reads the text of a template.
func (t *templateDraft) parse(s scope, o ParseOptions) {
	content, name := t.contents, t.source
	switch {
	case (t.source == "") == (t.contents == ""):
		s.problem(t.line, "", "wants either source or contents")
		return
	case t.source != "":
		text, err := o.ReadFile(t.source)
		if err != nil {
			s.problem(t.line, "source", err.Error())
			return
		}
		content = string(text)
	case t.variable != "":
		name = t.variable
	default:
		name = "contents of " + t.Destination.Path
	}
	t.options.Name, t.options.Getenv = name, o.Getenv
	if t.sandbox != "" {
		t.options.ReadFile = func(path string) ([]byte, error) { return template.ReadBelow(t.sandbox, path) }
	}
	parsed, err := template.Parse(content, t.options)
	if err != nil {
		s.problem(t.line, "", err.Error())
		return
	}
	t.Name, t.Parsed = name, parsed
}

// checkWhole reports stanzas that fit each other badly, or nothing to do.
func (d *draft) checkWhole(s scope) {
	needLogin := func(field, why string) {
		if d.Method == nil {
			s.problem(0, field, why+", which needs auto_auth with a method")
		}
	}
	if len(d.Templates)+len(d.EnvTemplates) > 0 {
		needLogin("template", "asks for secrets")
	}
	if len(d.Sinks) > 0 {
		needLogin("auto_auth.sink", "gets the agent's token")
	}
	if d.Proxy.UseToken {
		needLogin("api_proxy.use_auto_auth_token", "sends the agent's token")
	}
	if len(d.EnvTemplates) > 0 && d.Exec == nil {
		s.problem(0, "env_template", "is for a program: exec is missing")
	}
	if d.Exec != nil && d.ExitAfterAuth {
		s.problem(0, "exit_after_auth", "and exec exclude each other")
	}
	if len(d.Sinks)+len(d.Templates)+len(d.Listeners) == 0 && d.Exec == nil {
		s.problem(0, "", "there is nothing to do: no sink, template, exec or listener")
	}
	if d.Cache && len(d.Listeners) == 0 {
		s.warn(0, "cache", "has no effect without a listener")
	}
	seen := map[string]bool{}
	for _, t := range d.templates {
		if path := t.Destination.Path; path != "" && seen[path] {
			s.problem(t.line, "template.destination", "another template has it, too")
		}
		seen[t.Destination.Path] = true
	}
}
