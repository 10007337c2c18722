package torture

import (
	"errors"
	"fmt"
	"reflect"
)

// state is what a client knows of something that only it changes: what was
// acknowledged, and what will be if the change in flight has been done.
type state[S any] struct {
	now  S
	next *S // nil: nothing is in flight
}

// change sends a change that makes next of what is.
func (s *state[S]) change(next S, send func() error) error {
	s.next = &next
	err := send()
	switch {
	case err == nil:
		s.now, s.next = next, nil
	case !errors.Is(err, errUnknown):
		s.next = nil
	}
	return err
}

// settle compares what is there with what must be.
func (s *state[S]) settle(w *worker, got S) error {
	next := s.next
	s.next = nil
	if next == nil {
		if !reflect.DeepEqual(got, s.now) {
			return fmt.Errorf("there is\n  %+v\nacknowledged was\n  %+v", got, s.now)
		}
		return nil
	}
	switch {
	case reflect.DeepEqual(got, *next):
		s.now = *next
		w.landed(true)
	case reflect.DeepEqual(got, s.now):
		w.landed(false)
	default:
		return fmt.Errorf("there is\n  %+v\nacknowledged was\n  %+v\nin flight was\n  %+v", got, s.now, *next)
	}
	return nil
}
