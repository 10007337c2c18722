package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Flags are the flags of one call: -name, --name, -name=value, -name value. They
// end at the first argument that is none, or at "--".
type Flags struct {
	set   *flag.FlagSet
	specs []FlagSpec // in the order of declaration
	args  []string   // as given
}

// FlagSpec is what the help and the completion tell of a flag.
type FlagSpec struct {
	Name    string
	Value   string // what stands for the value: "duration"; empty: a switch
	Usage   string // sentences
	Default string
	Choices []string // the values it takes; nil: any
	global  bool
}

func newFlags() *Flags {
	set := flag.NewFlagSet("", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	return &Flags{set: set}
}

// String declares a flag with a text.
func (f *Flags) String(name, value, usage string) *string {
	p := f.set.String(name, value, usage)
	f.specs = append(f.specs, FlagSpec{Name: name, Value: "string", Usage: usage, Default: value})
	return p
}

// Choice declares a flag that takes one of a few texts.
func (f *Flags) Choice(name, value string, choices []string, usage string) *string {
	p := &value
	named := slices.DeleteFunc(slices.Clone(choices), func(s string) bool { return s == "" })
	f.set.Func(name, usage, func(s string) error {
		if !slices.Contains(choices, s) {
			return fmt.Errorf("want one of %s", strings.Join(named, ", "))
		}
		*p = s
		return nil
	})
	f.specs = append(f.specs, FlagSpec{Name: name, Value: strings.Join(named, "|"), Usage: usage, Default: value, Choices: named})
	return p
}

// Bool declares a switch.
func (f *Flags) Bool(name string, value bool, usage string) *bool {
	p := f.set.Bool(name, value, usage)
	spec := FlagSpec{Name: name, Usage: usage}
	if value {
		spec.Default = "true"
	}
	f.specs = append(f.specs, spec)
	return p
}

// Int declares a flag with a number.
func (f *Flags) Int(name string, value int, usage string) *int {
	p := f.set.Int(name, value, usage)
	f.specs = append(f.specs, FlagSpec{Name: name, Value: "int", Usage: usage, Default: strconv.Itoa(value)})
	return p
}

// Duration declares a flag with a duration as the API takes it: seconds, or
// numbers with units up to days. It stays a text, for the server to read.
func (f *Flags) Duration(name, usage string) *string {
	p := new(string)
	f.set.Func(name, usage, func(s string) error {
		if !isDuration(s) {
			return errors.New(`want seconds or a duration such as "90s", "1h30m" or "7d"`)
		}
		*p = s
		return nil
	})
	f.specs = append(f.specs, FlagSpec{Name: name, Value: "duration", Usage: usage})
	return p
}

// List declares a flag that may be given more than once.
func (f *Flags) List(name, usage string) *[]string {
	p := new([]string)
	f.set.Func(name, usage, func(s string) error { *p = append(*p, s); return nil })
	f.specs = append(f.specs, FlagSpec{Name: name, Value: "string", Usage: usage + " May be given more than once."})
	return p
}

// Commas is List whose values may hold several, with commas between.
func (f *Flags) Commas(name, usage string) *[]string {
	p := new([]string)
	f.set.Func(name, usage, func(s string) error {
		for _, part := range strings.Split(s, ",") {
			*p = append(*p, strings.TrimSpace(part))
		}
		return nil
	})
	f.specs = append(f.specs, FlagSpec{Name: name, Value: "string,...", Usage: usage + " May be given more than once."})
	return p
}

// Map declares a flag of key=value that may be given more than once. The map is
// nil if it never was.
func (f *Flags) Map(name, usage string) *map[string]string {
	p := new(map[string]string)
	f.set.Func(name, usage, func(s string) error {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return errors.New("want key=value")
		}
		if *p == nil {
			*p = map[string]string{}
		}
		(*p)[k] = v
		return nil
	})
	f.specs = append(f.specs, FlagSpec{Name: name, Value: "key=value", Usage: usage + " May be given more than once."})
	return p
}

// Alias declares another name for a flag. The help does not show it.
func (f *Flags) Alias(alias, name string) {
	target := f.set.Lookup(name)
	f.set.Var(target.Value, alias, target.Usage)
}

// Given says whether the call has the flag, under this name.
func (f *Flags) Given(name string) bool {
	given := false
	f.set.Visit(func(fl *flag.Flag) { given = given || fl.Name == name })
	return given
}

func (f *Flags) parse(args []string) error {
	f.args = args
	err := f.set.Parse(args)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	// Package flag quotes the value, which may be a secret.
	text := err.Error()
	if i := strings.Index(text, " for flag -"); i >= 0 && strings.HasPrefix(text, "invalid ") {
		return errors.New("invalid value" + text[i:])
	}
	return err
}

func (f *Flags) rest() []string { return f.set.Args() }

// strayFlags returns the arguments that look like flags and come too late to be
// any, unless "--" says that they are meant so. Their values, which may be
// secrets, are left out.
func (f *Flags) strayFlags() []string {
	rest := f.set.Args()
	if n := len(f.args) - len(rest); n > 0 && f.args[n-1] == "--" {
		return nil
	}
	var stray []string
	for _, arg := range rest {
		if arg == "--" {
			break
		}
		if _, err := strconv.ParseFloat(arg, 64); len(arg) > 1 && arg[0] == '-' && err != nil {
			name, _, _ := strings.Cut(arg, "=")
			stray = append(stray, name)
		}
	}
	return stray
}

// isDuration says whether the API would take the text as a duration.
func isDuration(s string) bool {
	if s == "" {
		return false
	}
	digits := false
	for _, r := range strings.TrimPrefix(s, "-") {
		switch {
		case r >= '0' && r <= '9':
			digits = true
		case strings.ContainsRune(".nuµmshd", r) && digits:
		default:
			return false
		}
	}
	return digits
}
