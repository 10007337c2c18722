package runner

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cofferhq/coffer/redact"
	"github.com/cofferhq/coffer/secrets"
)

// keepPrevious is how long values are removed from the output after others have
// taken their place. A program may go on to print what it read at its start.
const keepPrevious = 7 * 24 * time.Hour

// scrubber removes the values that the program has, or had, from its output.
type scrubber struct {
	redactor *redact.Redactor
	names    []string // of the slots that are one reference each
	warn     func(string)

	mu     sync.Mutex // guards the field below
	warned map[string]bool
}

// newScrubber returns one that looks for the values of all references in
// templates: of those that stand alone. See [slots.withParts].
func newScrubber(templates map[string]secrets.Template, warn func(string)) *scrubber {
	s := &scrubber{redactor: redact.New(redact.WithPrevious(keepPrevious)), warn: warn, warned: map[string]bool{}}
	for _, name := range slices.Sorted(maps.Keys(templates)) {
		if standsAlone(templates[name]) {
			s.names = append(s.names, name)
		}
	}
	return s
}

// standsAlone says whether a template is one reference and nothing else.
func standsAlone(t secrets.Template) bool {
	refs := t.References()
	return len(refs) == 1 && t.Text() == refs[0].Text()
}

// learn makes the scrubber look for values. It must know them before the program
// does.
func (s *scrubber) learn(v values) {
	var known []redact.Value
	for _, name := range s.names {
		if text, ok := v.value(name); ok && text != "" {
			known = append(known, redact.Secret(name, text))
		}
	}
	for _, r := range v.rendered {
		for _, text := range r.secrets {
			known = append(known, redact.Secret(r.name, text.Reveal()))
		}
	}
	warnings := s.redactor.Set(known...)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range warnings {
		if !s.warned[w.Name] {
			s.warned[w.Name] = true
			s.warn(w.String())
		}
	}
}
