package policy

// Resultant is an ACL as the answer of sys/internal/ui/resultant-acl shows it.
type Resultant struct {
	Root       bool              `json:"root"`
	ExactPaths map[string]Rights `json:"exact_paths,omitzero"` // path → rights; nil for root
	GlobPaths  map[string]Rights `json:"glob_paths,omitzero"`  // path without its "*" → rights; nil for root
}

// Rights is what may be done with one path.
type Rights struct {
	Capabilities []string `json:"capabilities"` // sorted; only "deny" if nothing may be done
}

// Resultant returns every rule of the ACL. A path with "+" segments stands among
// the others, with them.
func (a *ACL) Resultant() Resultant {
	if a != nil && a.root {
		return Resultant{Root: true}
	}
	all := Resultant{ExactPaths: map[string]Rights{}, GlobPaths: map[string]Rights{}}
	if a == nil {
		return all
	}
	for path, r := range a.exact {
		all.ExactPaths[path] = Rights{r.can.names()}
	}
	for w := range a.wild.all() {
		if w.glob {
			all.GlobPaths[w.text] = Rights{w.rule.can.names()}
		} else {
			all.ExactPaths[w.text] = Rights{w.rule.can.names()}
		}
	}
	return all
}
