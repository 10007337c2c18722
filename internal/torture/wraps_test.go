package torture

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/cofferhq/coffer/client"
)

// wraps is a client that wraps, and others that unwrap, at once.
type wraps struct {
	held      []*wrapped
	used      []*wrapped // the last of them
	wrapping  bool       // a wrap is in flight
	unwrapped *wrapped   // an unwrap is in flight
}

type wrapped struct{ token, accessor, payload string }

const (
	mostHeld     = 20
	rememberUsed = 20
)

func (p *wraps) accessors() (all []string) {
	for _, h := range p.held {
		all = append(all, h.accessor)
	}
	if p.unwrapped != nil {
		all = append(all, p.unwrapped.accessor)
	}
	return all
}

func (p *wraps) act(w *worker) error {
	if n := len(p.held); n == 0 || n < mostHeld && w.dice.IntN(3) > 0 {
		return p.wrap(w)
	}
	i := w.dice.IntN(len(p.held))
	h := p.held[i]
	p.unwrapped = h
	p.held = slices.Delete(p.held, i, i+1)
	askers := 1 + w.dice.IntN(3)
	got, err := p.unwrapAtOnce(w, h, askers)
	switch {
	case got > 1:
		return fmt.Errorf("%d of %d got one wrapped answer", got, askers)
	case got == 0 && errors.Is(err, errUnknown):
		return err
	}
	p.retire(h)
	if got == 0 {
		return fmt.Errorf("none of %d got a wrapped answer: %w", askers, err)
	}
	if errors.Is(err, errUnknown) {
		return err
	}
	return nil
}

func (p *wraps) retire(h *wrapped) {
	p.unwrapped = nil
	p.used = append(p.used, h)
	p.used = p.used[max(0, len(p.used)-rememberUsed):]
}

func (p *wraps) wrap(w *worker) error {
	p.wrapping = true
	payload := w.unique()
	s, err := w.send(w.root, client.Request{
		Method: http.MethodPut, Path: "sys/wrapping/wrap", Body: map[string]any{"v": payload}, WrapTTL: "700h",
	})
	if errors.Is(err, errUnknown) {
		return err
	}
	if p.wrapping = false; err == nil {
		p.held = append(p.held, &wrapped{s.WrapInfo.Token, s.WrapInfo.Accessor, payload})
	}
	return err
}

// unwrapAtOnce has several unwrap the same. It returns how many got it, and what
// else happened: errUnknown if that happened to one.
func (p *wraps) unwrapAtOnce(w *worker, h *wrapped, askers int) (got int, err error) {
	var wg sync.WaitGroup
	errs := make([]error, askers)
	for i := range askers {
		wg.Go(func() { errs[i] = p.unwrap(w, h) })
	}
	wg.Wait()
	for _, one := range errs {
		switch {
		case one == nil:
			got++
		case err == nil || errors.Is(one, errUnknown):
			err = one
		}
	}
	return got, err
}

func (p *wraps) unwrap(w *worker, h *wrapped) error {
	s, err := w.write("sys/wrapping/unwrap", map[string]any{"token": h.token})
	if err == nil && (s == nil || s.Data["v"] != h.payload) {
		return errors.New("what was unwrapped is not what was wrapped")
	}
	return err
}

func (p *wraps) check(w *worker) error {
	if p.wrapping {
		// Wrapping tokens have no mark, so any of the wrappings in flight may have
		// made it.
		found := w.census.claim(func(b bearing) bool { return b.path == "sys/wrapping/wrap" && b.mark == "" })
		if len(found) > 1 {
			for _, b := range found[1:] {
				w.census.found[b.accessor] = b
			}
			found = found[:1]
		}
		p.wrapping = false
		w.landed(len(found) > 0)
		if err := w.forget(found); err != nil {
			return err
		}
	}
	if err := p.settleUnwrap(w); err != nil {
		return err
	}
	for _, h := range p.held {
		if _, err := w.root.Write(w.t.Context(), "sys/wrapping/lookup", map[string]any{"token": h.token}); err != nil {
			return fmt.Errorf("an acknowledged wrapping: %w", err)
		}
	}
	for _, h := range p.used {
		if err := p.unwrap(w, h); !errors.Is(err, errRefused) {
			return fmt.Errorf("a wrapped answer was got a second time: %v", err)
		}
	}
	return nil
}

// settleUnwrap finds out whether an unwrap in flight has been done: then nobody
// gets the answer any more.
func (p *wraps) settleUnwrap(w *worker) error {
	h := p.unwrapped
	if h == nil {
		return nil
	}
	err := p.unwrap(w, h)
	if err != nil && !errors.Is(err, errRefused) {
		return err
	}
	w.landed(err != nil)
	p.retire(h) // by now it is used up, one way or the other
	return nil
}
