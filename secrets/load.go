package secrets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
)

// FieldError tells of one field of a struct that cannot be filled. It holds no
// value.
type FieldError struct {
	Field string // "Database.Password"
	Err   error
}

var _ error = (*FieldError)(nil)

func (e *FieldError) Error() string { return fmt.Sprintf("%s: %v", e.Field, e.Err) }

// Unwrap returns what is wrong with the field.
func (e *FieldError) Unwrap() error { return e.Err }

// Load fills the struct that target points to, once:
//
//	type Config struct {
//		Password secrets.Value `secret:"vault:secret/app/db#password"`
//		Database string        `secret:"postgres://app:${vault:secret/app/db#password}@db/app"`
//		Timeout  time.Duration `env:"TIMEOUT,optional"`
//		Key      []byte        `env:"API_KEY" secret:"vault:secret/app/api#key"`
//		Cache    struct {
//			URL *url.URL `env:"CACHE_URL"`
//		}
//	}
//
// The tag secret is a text with references, as [Parse] tells. The tag env names a
// variable that holds such a text, and wins where it is set; one that is not set is
// an error, unless there is a tag secret or ",optional" after the name. Structs
// within, embedded ones too, are filled as well, and fields without a tag left alone.
//
// A field is a string, []byte, [Value], bool, number, [time.Duration], [url.URL] or a
// pointer to one, a [tls.Certificate] (from PEM: chain and key in one text), or any
// type whose pointer is an [encoding.TextUnmarshaler]. What is absent because its
// reference is optional leaves its field as it is.
//
// Fields of one path come from one read. The error tells of all that is wrong, by the
// names of the fields: it wraps a [*FieldError] for each, and a [*ResolveError].
// Target is then as it was.
//
// Server and login are as in [OpenGroup]; a token that was earned is revoked before
// Load returns. Secrets with a lease, which would end with it, are refused: see
// [Watch].
func Load(ctx context.Context, target any, opts ...Option) error {
	v := reflect.ValueOf(target)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return errors.New("secrets: the target of Load must be a pointer to a struct")
	}
	b, err := bind(v.Elem().Type(), os.LookupEnv)
	if err != nil {
		return err
	}
	o, err := newSettings(opts)
	if err != nil {
		return err
	}
	if o.ours {
		defer func() {
			if end := o.session.Close(); end != nil {
				o.report(end)
			}
		}()
		if err := o.session.Login(ctx); err != nil {
			return fmt.Errorf("log in: %w", err)
		}
	}
	r := newResolver(o.reader())
	r.check = b.check
	run := r.begin(ctx, b.templates)
	resolved, err := run.assemble(b.templates)
	if err := errors.Join(err, run.refuseLeases(ctx)); err != nil {
		return err
	}
	return b.fill(v.Elem(), func(name string) (Value, bool) {
		text, ok := resolved.Value(name)
		return Value{text: hide(text), version: run.version(b.templates[name])}, ok
	})
}

// version is that of the first reference's secret.
func (u *run) version(t Template) int {
	if refs := t.References(); len(refs) > 0 {
		if asked, err := u.requestOf(refs[0]); err == nil {
			return max(u.reads[asked].Version, 1)
		}
	}
	return 0
}

// refuseLeases gives back what nobody would renew.
func (u *run) refuseLeases(ctx context.Context) error {
	var problems []error
	for _, a := range u.reads {
		if a.LeaseID == "" {
			continue
		}
		for _, name := range a.Names {
			problems = append(problems, &FieldError{name, errors.New("it has a lease, which somebody must renew: use Watch")})
		}
		if _, err := u.resolver.in(a.Namespace).Write(ctx, "sys/leases/revoke", map[string]any{"lease_id": a.LeaseID}); err != nil {
			problems = append(problems, fmt.Errorf("the lease ends by itself, as it could not be revoked: %w", err))
		}
	}
	return errors.Join(problems...)
}

// binding is how the fields of a type are filled. It is immutable.
type binding struct {
	fields    []boundField
	templates map[string]Template // by the names of fields
}

// boundField is a field with a tag.
type boundField struct {
	name  string
	index []int
	parse func(text string, version int) (reflect.Value, error) // its errors hold no value
}

// bind reads the tags of a struct. The error tells of all that are wrong.
func bind(t reflect.Type, lookup func(string) (string, bool)) (*binding, error) {
	b := &binding{templates: map[string]Template{}}
	var problems []error
	b.walk(t, "", nil, func(f reflect.StructField, name string, index []int) {
		if err := b.bind(f, name, index, lookup); err != nil {
			problems = append(problems, &FieldError{name, err})
		}
	})
	if len(problems) == 0 && len(b.fields) == 0 {
		return nil, fmt.Errorf("secrets: no field of %s that is there to be filled has a tag secret or env", t)
	}
	return b, errors.Join(problems...)
}

// walk calls fn with the fields that have a tag, those of structs within too.
func (b *binding) walk(t reflect.Type, prefix string, index []int, fn func(f reflect.StructField, name string, index []int)) {
	for i := range t.NumField() {
		f, at := t.Field(i), append(slices.Clone(index), i)
		switch {
		case isTagged(f.Tag):
			fn(f, prefix+f.Name, at)
		case f.Type.Kind() == reflect.Struct && (f.IsExported() || f.Anonymous):
			b.walk(f.Type, prefix+f.Name+".", at, fn)
		}
	}
}

func isTagged(tag reflect.StructTag) bool {
	_, secret := tag.Lookup("secret")
	_, env := tag.Lookup("env")
	return secret || env
}

// bind takes one field.
func (b *binding) bind(f reflect.StructField, name string, index []int, lookup func(string) (string, bool)) error {
	parse := parserOf(f.Type)
	switch {
	case !f.IsExported():
		return errors.New("it has a tag but is not exported")
	case parse == nil:
		return fmt.Errorf("its type %s is none that can be filled", f.Type)
	}
	text, ok, err := textOf(f.Tag, lookup)
	if err != nil || !ok {
		return err
	}
	template, err := Parse(text)
	if err != nil {
		return err
	}
	b.fields = append(b.fields, boundField{name: name, index: index, parse: parse})
	b.templates[name] = template
	return nil
}

// textOf returns the text with references that the tags of a field name, unless it is
// optional and not there.
func textOf(tag reflect.StructTag, lookup func(string) (string, bool)) (text string, ok bool, err error) {
	secret, hasSecret := tag.Lookup("secret")
	env, hasEnv := tag.Lookup("env")
	name, option, hasOption := strings.Cut(env, ",")
	if hasEnv && name == "" || hasOption && option != "optional" {
		return "", false, errors.New("its tag env is not NAME or NAME,optional")
	}
	if hasEnv {
		if value, ok := lookup(name); ok {
			return value, true, nil
		}
	}
	switch {
	case hasSecret:
		return secret, true, nil
	case hasOption:
		return "", false, nil
	}
	return "", false, fmt.Errorf("the environment has no variable %s", name)
}

// check says which values do not fit their fields.
func (b *binding) check(r *Resolved) error {
	var problems []error
	for _, f := range b.fields {
		if text, ok := r.Value(f.name); ok {
			if _, err := f.parse(text, 0); err != nil {
				problems = append(problems, &FieldError{f.name, err})
			}
		}
	}
	return errors.Join(problems...)
}

// fill sets the fields whose value is there.
func (b *binding) fill(target reflect.Value, value func(name string) (Value, bool)) error {
	var problems []error
	for _, f := range b.fields {
		found, ok := value(f.name)
		if !ok {
			continue
		}
		v, err := f.parse(found.Reveal(), found.Version())
		if err != nil {
			problems = append(problems, &FieldError{f.name, err})
			continue
		}
		target.FieldByIndex(f.index).Set(v)
	}
	return errors.Join(problems...)
}
