package torture

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
)

// mounts is a client that mounts an engine, fills it, and unmounts it.
type mounts struct {
	state[mounted]
	path string
	goal int // secrets to write until the unmount
}

// mounted is a mount with its secrets. The zero value is that there is none.
type mounted struct {
	Description string
	Secrets     map[string]string
}

func (m *mounts) act(w *worker) error {
	switch {
	case m.now.Description == "":
		return m.mount(w)
	case len(m.now.Secrets) < m.goal:
		value := w.unique()
		next := mounted{m.now.Description, maps.Clone(m.now.Secrets)}
		next.Secrets[value] = value
		return m.change(next, func() error {
			_, err := w.write(m.path+value, map[string]any{"v": value})
			return err
		})
	}
	path := m.path
	err := m.change(mounted{}, func() error {
		_, err := w.delete("sys/mounts/" + m.path)
		return err
	})
	if err != nil {
		return err
	}
	m.path = "" // from here on it is checkGone's
	if w.dice.IntN(4) > 0 {
		return nil
	}
	return w.checkGone(path)
}

func (m *mounts) mount(w *worker) error {
	m.path, m.goal = w.unique()+"/", 1+w.dice.IntN(12)
	return m.change(mounted{m.path, map[string]string{}}, func() error {
		_, err := w.write("sys/mounts/"+m.path, map[string]any{"type": "kv", "description": m.path})
		return err
	})
}

// checkGone mounts again where an unmount was acknowledged: nothing is there.
func (w *worker) checkGone(path string) error {
	if _, err := w.write("sys/mounts/"+path, map[string]any{"type": "kv"}); err != nil {
		if errors.Is(err, errUnknown) {
			w.leave(path) // there, or not: it is unmounted later
		}
		return err
	}
	left, err := w.list(path)
	if err != nil {
		w.leave(path)
		return w.lost(err)
	}
	if len(left) > 0 {
		return fmt.Errorf("%s was unmounted and has %d secrets", path, len(left))
	}
	if _, err = w.delete("sys/mounts/" + path); errors.Is(err, errUnknown) {
		w.leave(path)
	}
	return err
}

func (m *mounts) check(w *worker) error {
	if m.path == "" {
		return nil
	}
	got, err := m.observe(w)
	if err != nil {
		return err
	}
	unmounting := m.next != nil && m.next.Description == ""
	if err := m.settle(w, got); err != nil {
		return fmt.Errorf("%s: %w", m.path, err)
	}
	if unmounting && m.now.Description == "" {
		w.leave(m.path)
	}
	return nil
}

func (m *mounts) observe(w *worker) (mounted, error) {
	s, err := w.ask(w.root, "sys/mounts/"+m.path)
	if err != nil && strings.Contains(err.Error(), "No secret engine mount") {
		if _, err := w.ask(w.root, m.path+"a"); err == nil || !strings.Contains(err.Error(), "no handler for route") {
			return mounted{}, fmt.Errorf("there is no mount %s, and it answers: %v", m.path, err)
		}
		return mounted{}, nil
	}
	if err != nil {
		return mounted{}, err
	}
	secrets, err := w.secretsBelow(m.path)
	return mounted{fmt.Sprint(s.Data["description"]), secrets}, err
}

// leaving is an unmount that a kill has cut short.
type leaving struct {
	path  string
	since time.Time
}

// The server takes such an unmount up a minute after it began.
const takenUp = 100 * time.Second

const (
	hasty         = false
	patientRounds = 20 // runs with more of them wait for the last unmounts
)

func (w *worker) leave(path string) {
	counting.Lock()
	defer counting.Unlock()
	w.leaving = append(w.leaving, leaving{path, time.Now()})
}

// checkUnmounts looks whether unmounts that were cut short have been finished:
// their paths can be taken, and nothing is there. It waits for those that still
// have time if patient.
func (w *world) checkUnmounts(patient bool) {
	w.t.Helper()
	of := w.actors[0]
	for len(w.leaving) > 0 {
		var later []leaving
		for _, l := range w.leaving {
			of.delete("sys/mounts/" + l.path) // if the kill came before
			err := of.checkGone(l.path)
			switch {
			case err == nil:
			case strings.Contains(err.Error(), "already in use") && time.Since(l.since) < takenUp:
				later = append(later, l)
			default:
				w.t.Errorf("round %d: unmount of %s, cut short %s ago: %v", w.round, l.path, time.Since(l.since), err)
			}
		}
		w.leaving = later
		if !patient || w.t.Failed() {
			return
		}
		time.Sleep(time.Second) // a real process in real time
	}
}
