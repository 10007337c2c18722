package torture

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/cofferhq/coffer/client"
)

const (
	versionedMount = "versioned/"
	keptVersions   = 10 // the engine's default
)

// versioned is a client of the key-value engine with versions.
type versioned struct{ secrets []*state[history] }

func newVersioned() *versioned {
	v := &versioned{}
	for range 3 {
		v.secrets = append(v.secrets, &state[history]{})
	}
	return v
}

// history is a secret with its versions. The zero value is that there is none.
type history struct {
	Current  int
	Versions map[int]version
}

type version struct {
	Value              string // JSON, with sorted keys
	Deleted, Destroyed bool
}

func (h history) clone() history {
	return history{h.Current, maps.Clone(h.Versions)}
}

// shown is h without what can't be seen.
func (h history) shown() history {
	h = h.clone()
	for n, v := range h.Versions {
		if v.Deleted || v.Destroyed {
			v.Value = ""
			h.Versions[n] = v
		}
	}
	return h
}

// with returns h with one more version.
func (h history) with(value string) history {
	next := h.clone()
	if next.Versions == nil {
		next.Versions = map[int]version{}
	}
	next.Current++
	next.Versions[next.Current] = version{Value: value}
	delete(next.Versions, next.Current-keptVersions)
	return next
}

// changed returns h with one version changed.
func (h history) changed(n int, change func(v *version)) history {
	next := h.clone()
	v := next.Versions[n]
	change(&v)
	next.Versions[n] = v
	return next
}

func (v *versioned) act(w *worker) error {
	i := w.dice.IntN(len(v.secrets))
	s, name := v.secrets[i], fmt.Sprintf("%s/%d", w.name, i)
	h := s.now
	newest := h.Versions[h.Current]
	readable := h.Current > 0 && !newest.Deleted && !newest.Destroyed
	switch dice := w.dice.IntN(100); {
	case dice < 55 || h.Current == 0:
		return v.put(w, s, name)
	case dice < 60:
		return v.putStale(w, s, name)
	case dice < 70 && readable:
		return v.patch(w, s, name)
	case dice < 78:
		return s.change(h.changed(h.Current, func(v *version) { v.Deleted = v.Deleted || !v.Destroyed }), func() error {
			_, err := w.delete(versionedMount + "data/" + name)
			return err
		})
	case dice < 97:
		return v.changeOne(w, s, name)
	}
	return s.change(history{}, func() error {
		_, err := w.delete(versionedMount + "metadata/" + name)
		return err
	})
}

func (v *versioned) put(w *worker, s *state[history], name string) error {
	data := map[string]any{"v": w.unique()}
	return s.change(s.now.with(encoded(data)), func() error {
		answer, err := w.write(versionedMount+"data/"+name, map[string]any{
			"data": data, "options": map[string]any{"cas": s.now.Current},
		})
		if err == nil && fmt.Sprint(answer.Data["version"]) != strconv.Itoa(s.now.Current+1) {
			return fmt.Errorf("%s: version %v after %d", name, answer.Data["version"], s.now.Current)
		}
		return err
	})
}

// putStale must be refused.
func (v *versioned) putStale(w *worker, s *state[history], name string) error {
	_, err := w.write(versionedMount+"data/"+name, map[string]any{
		"data": map[string]any{"v": "stale"}, "options": map[string]any{"cas": s.now.Current + 1},
	})
	switch {
	case err == nil:
		return fmt.Errorf("%s: a put with a wrong cas was taken", name)
	case errors.Is(err, errRefused):
		return nil
	}
	return err
}

func (v *versioned) patch(w *worker, s *state[history], name string) error {
	var data map[string]any
	if err := json.Unmarshal([]byte(s.now.Versions[s.now.Current].Value), &data); err != nil {
		return err
	}
	patch := w.unique()
	data["p"] = patch
	return s.change(s.now.with(encoded(data)), func() error {
		_, err := w.send(w.root, client.Request{
			Method: http.MethodPatch, Path: versionedMount + "data/" + name,
			Body: map[string]any{"data": map[string]any{"p": patch}},
		})
		return err
	})
}

// changeOne deletes, brings back or destroys some version.
func (v *versioned) changeOne(w *worker, s *state[history], name string) error {
	numbers := slices.Sorted(maps.Keys(s.now.Versions))
	n := numbers[w.dice.IntN(len(numbers))]
	verb, change := "delete", func(v *version) { v.Deleted = v.Deleted || !v.Destroyed }
	switch w.dice.IntN(5) {
	case 0, 1:
		verb, change = "undelete", func(v *version) { v.Deleted = v.Deleted && v.Destroyed }
	case 2:
		verb, change = "destroy", func(v *version) { v.Destroyed = true }
	}
	return s.change(s.now.changed(n, change), func() error {
		_, err := w.write(versionedMount+verb+"/"+name, map[string]any{"versions": []int{n}})
		return err
	})
}

func (v *versioned) check(w *worker) error {
	for i, s := range v.secrets {
		name := fmt.Sprintf("%s/%d", w.name, i)
		got, err := v.observe(w, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		// What is hidden is compared when it is shown again.
		shown := &state[history]{now: s.now.shown()}
		if s.next != nil {
			next := s.next.shown()
			shown.next = &next
		}
		if err := shown.settle(w, got); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if s.next != nil && !sameHistory(got, s.now.shown()) {
			s.now = *s.next
		}
		s.next = nil
	}
	return nil
}

func sameHistory(a, b history) bool {
	return a.Current == b.Current && maps.Equal(a.Versions, b.Versions)
}

// observe reads a secret as others see it, and whether its rows agree.
func (v *versioned) observe(w *worker, name string) (history, error) {
	answer, err := w.ask(w.root, versionedMount+"metadata/"+name)
	if err != nil || answer == nil {
		return history{}, err
	}
	var m metadata
	if err := remarshal(answer.Data, &m); err != nil {
		return history{}, err
	}
	if want := max(1, m.Current-keptVersions+1); len(m.Versions) != m.Current-want+1 {
		return history{}, fmt.Errorf("the newest version is %d, and there are %d", m.Current, len(m.Versions))
	}
	h := history{Current: m.Current, Versions: map[int]version{}}
	for number, about := range m.Versions {
		n, err := strconv.Atoi(number)
		if err != nil || n > m.Current || n <= m.Current-keptVersions {
			return history{}, fmt.Errorf("version %q in a list up to %d", number, m.Current)
		}
		one := version{Deleted: about.Deleted != "", Destroyed: about.Destroyed}
		if one.Value, err = v.value(w, name, n, about); err != nil {
			return history{}, err
		}
		h.Versions[n] = one
	}
	return h, nil
}

type metadata struct {
	Current  int `json:"current_version"`
	Versions map[string]versionMetadata
}

type versionMetadata struct {
	Deleted   string `json:"deletion_time"`
	Destroyed bool   `json:"destroyed"`
}

// value reads one version; empty: it has no data to show.
func (v *versioned) value(w *worker, name string, n int, about versionMetadata) (string, error) {
	answer, err := w.root.ReadQuery(w.t.Context(), versionedMount+"data/"+name, url.Values{"version": {strconv.Itoa(n)}})
	if err != nil || answer == nil {
		return "", fmt.Errorf("version %d is in the list and can't be read: %w", n, err)
	}
	var own versionMetadata
	if err := remarshal(answer.Data["metadata"], &own); err != nil {
		return "", err
	}
	if own != about {
		return "", fmt.Errorf("version %d is %+v, the list says %+v", n, own, about)
	}
	if answer.Data["data"] == nil {
		return "", nil
	}
	return encoded(answer.Data["data"]), nil
}

// encoded is v as JSON with sorted keys.
func encoded(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// remarshal puts what was decoded without a type into a type.
func remarshal(from, to any) error { return json.Unmarshal([]byte(encoded(from)), to) }
