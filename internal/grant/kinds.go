package grant

import (
	"slices"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// simple is a setting that is kept as it is sent and read as it is kept.
func simple[T, V any](name string, field logical.Field, value func(*logical.Request, string) V, at func(*T) *V) Setting[T] {
	return Setting[T]{
		Name: name, Field: field,
		Set: func(o *T, r *logical.Request, name string) error {
			*at(o) = value(r, name)
			return nil
		},
		Read: func(o *T) any { return *at(o) },
		Reset: func(o *T) {
			var zero V
			*at(o) = zero
		},
	}
}

// Flag is true or false, and false by default.
func Flag[T any](name, help string, at func(*T) *bool) Setting[T] {
	return simple(name, logical.Field{Type: logical.Bool, Help: help}, (*logical.Request).Bool, at)
}

// Number is an integer, and zero by default. It may be negative.
func Number[T any](name, help string, at func(*T) *int) Setting[T] {
	return simple(name, logical.Field{Type: logical.Int, Help: help}, (*logical.Request).Int, at)
}

// Duration is read as whole seconds, and zero by default.
func Duration[T any](name, help string, at func(*T) *time.Duration) Setting[T] {
	s := simple(name, logical.Field{Type: logical.Duration, Help: help}, (*logical.Request).Duration, at)
	s.Read = func(o *T) any { return int64(*at(o) / time.Second) }
	return s
}

// Policies are names of policies. They are kept in lower case, sorted, each once,
// and read as a list, never as null.
func Policies[T any](name, help string, at func(*T) *[]string) Setting[T] {
	s := simple(name, logical.Field{Type: logical.Texts, Help: help}, policyNames, at)
	s.Read = func(o *T) any { return orEmpty(*at(o)) }
	return s
}

func policyNames(r *logical.Request, name string) []string {
	var names []string
	for _, text := range r.Texts(name) {
		names = append(names, strings.ToLower(text))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Networks are what [ParseNetworks] reads. They are kept as they are written, and
// read as a list, never as null.
func Networks[T any](name, help string, at func(*T) *[]string) Setting[T] {
	s := simple(name, logical.Field{Type: logical.Texts, Help: help}, (*logical.Request).Texts, at)
	s.Set = func(o *T, r *logical.Request, name string) error {
		if _, err := ParseNetworks(r.Texts(name)); err != nil {
			return err
		}
		*at(o) = r.Texts(name)
		return nil
	}
	s.Read = func(o *T) any { return orEmpty(*at(o)) }
	return s
}

// TokenType is how tokens are kept. The default is kept as an empty text.
func TokenType[T any](name, help string, at func(*T) *string) Setting[T] {
	s := simple(name, logical.Field{Type: logical.Text, Help: help}, (*logical.Request).Text, at)
	s.Set = func(o *T, r *logical.Request, name string) error {
		switch typ := r.Text(name); typ {
		case "", "default":
			*at(o) = ""
		case "service", "batch", "default-service", "default-batch":
			*at(o) = typ
		default:
			return logical.Invalid("invalid '%s' value %q", name, typ)
		}
		return nil
	}
	s.Read = func(o *T) any {
		if *at(o) == "" {
			return "default"
		}
		return *at(o)
	}
	return s
}

// orEmpty keeps null out of answers in which clients expect a list.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
