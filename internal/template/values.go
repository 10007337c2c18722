package template

import "github.com/cofferhq/coffer/internal/secret"

// Secrets returns all texts in what the server answered to the questions of r:
// what must not be seen in the output of who got the result.
func (s *Store) Secrets(r *Result) []secret.Bytes {
	known := s.snapshot()
	var all []secret.Bytes
	for _, q := range r.Queries {
		if a := known[q.key()]; a != nil && q.Operation != List {
			all = texts(all, a.data())
		}
	}
	return all
}

func texts(all []secret.Bytes, value any) []secret.Bytes {
	switch value := value.(type) {
	case string:
		all = append(all, secret.Text(value))
	case map[string]any:
		for _, inner := range value {
			all = texts(all, inner)
		}
	case []any:
		for _, inner := range value {
			all = texts(all, inner)
		}
	}
	return all
}
