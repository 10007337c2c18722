package torture

import (
	"fmt"
	"maps"
)

const plainMount = "plain/"

// plain is a client of the key-value engine without versions.
type plain struct{ state[map[string]string] }

func (p *plain) act(w *worker) error {
	key := fmt.Sprint(w.dice.IntN(6))
	next := maps.Clone(p.now)
	if next == nil {
		next = map[string]string{}
	}
	if w.dice.IntN(4) == 0 {
		delete(next, key)
		return p.change(next, func() error {
			_, err := w.delete(plainMount + w.name + "/" + key)
			return err
		})
	}
	value := w.unique()
	next[key] = value
	return p.change(next, func() error {
		_, err := w.write(plainMount+w.name+"/"+key, map[string]any{"v": value})
		return err
	})
}

func (p *plain) check(w *worker) error {
	got, err := w.secretsBelow(plainMount + w.name + "/")
	if err != nil {
		return err
	}
	if p.now == nil {
		p.now = map[string]string{}
	}
	return p.settle(w, got)
}

// secretsBelow reads the secrets, each with a field v, in a folder without folders.
func (w *worker) secretsBelow(folder string) (map[string]string, error) {
	names, err := w.list(folder)
	if err != nil {
		return nil, err
	}
	got := map[string]string{}
	for _, name := range names {
		s, err := w.ask(w.root, folder+name)
		if err != nil || s == nil {
			return nil, fmt.Errorf("%s%s is in the list and can't be read: %w", folder, name, err)
		}
		got[name] = fmt.Sprint(s.Data["v"])
	}
	return got, nil
}
