package secrets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sync/atomic"
)

// Watched is a struct that is filled as by [Load], and filled anew, in another copy,
// whenever one of its secrets changes. Copies that were given out do not change.
type Watched[T any] struct {
	group   *Group
	binding *binding
	newest  atomic.Pointer[filled[T]]
}

// filled is a struct with the values of one generation.
type filled[T any] struct {
	generation uint64
	value      *T
}

// Watch fills a T, whose tags are told at [Load], and follows its secrets as
// [OpenGroup] does. A new value that does not fit its field is not taken: the field
// keeps the one before, [Watched.Err] and the error handler say so, and the server is
// not told that it is in use.
func Watch[T any](ctx context.Context, opts ...Option) (*Watched[T], error) {
	t := reflect.TypeFor[T]()
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("secrets: Watch fills structs, and %s is none", t)
	}
	b, err := bind(t, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	w := &Watched[T]{binding: b}
	opts = append(opts[:len(opts):len(opts)], func(o *settings) {
		o.check = b.check
		o.first = append([]func(context.Context, Snapshot) error{w.take}, o.first...)
	})
	if w.group, err = OpenTemplates(ctx, b.templates, opts...); err != nil {
		return nil, err
	}
	if _, err := w.at(w.group.Snapshot()); err != nil {
		return nil, errors.Join(err, w.Close()) // the values were checked, so there is no such error
	}
	return w, nil
}

// take is told of every change.
func (w *Watched[T]) take(_ context.Context, s Snapshot) error {
	_, err := w.at(s)
	return err
}

// at returns a copy with the values of s, and keeps it if none is newer.
func (w *Watched[T]) at(s Snapshot) (*T, error) {
	old := w.newest.Load()
	if old != nil && old.generation == s.Generation() {
		return old.value, nil
	}
	next := &filled[T]{s.Generation(), new(T)}
	if err := w.binding.fill(reflect.ValueOf(next.value).Elem(), s.Lookup); err != nil {
		return nil, err
	}
	for old == nil || old.generation < next.generation {
		if w.newest.CompareAndSwap(old, next) {
			return next.value, nil
		}
		old = w.newest.Load()
	}
	if old.generation == next.generation {
		return old.value, nil // all get the same copy
	}
	return next.value, nil
}

// Format prints what is printed of its group.
func (w *Watched[T]) Format(f fmt.State, verb rune) { w.group.Format(f, verb) }

// Current returns the newest copy, which is shared: nobody may change it.
func (w *Watched[T]) Current() *T {
	value, err := w.at(w.group.Snapshot())
	if err != nil {
		return w.newest.Load().value // Err of the group tells why
	}
	return value
}

// OnChange is [Group.OnChange], with the copy that has the values.
func (w *Watched[T]) OnChange(fn func(ctx context.Context, value *T) error) (cancel func()) {
	return w.group.OnChange(func(ctx context.Context, s Snapshot) error {
		value, err := w.at(s)
		if err != nil {
			return err
		}
		return fn(ctx, value)
	})
}

// Group returns the group whose values these are, by the names of the fields. Close
// w, not the group.
func (w *Watched[T]) Group() *Group { return w.group }

// Err is [Group.Err].
func (w *Watched[T]) Err() error { return w.group.Err() }

// Refresh is [Group.Refresh].
func (w *Watched[T]) Refresh(ctx context.Context) error { return w.group.Refresh(ctx) }

// Close is [Group.Close].
func (w *Watched[T]) Close() error { return w.group.Close() }
