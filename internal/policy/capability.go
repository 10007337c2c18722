package policy

import (
	"math/bits"
	"slices"

	"github.com/cofferhq/coffer/internal/logical"
)

// capability is a set of things that may be done with a path.
type capability uint16

const (
	canCreate capability = 1 << iota
	canRead
	canUpdate
	canDelete
	canList
	canSudo
	canPatch
	canSubscribe
	canRecover
	denied // alone in a set: nothing may be done, whatever others say

	numCapabilities = iota
)

// capabilityNames maps the words of a policy to capabilities.
var capabilityNames = map[string]capability{
	"create":    canCreate,
	"read":      canRead,
	"update":    canUpdate,
	"delete":    canDelete,
	"list":      canList,
	"sudo":      canSudo,
	"patch":     canPatch,
	"subscribe": canSubscribe,
	"recover":   canRecover,
	"deny":      denied,
}

// legacyPolicies maps the words of the "policy" key, which is older than
// capabilities, to what they stand for.
var legacyPolicies = map[string]capability{
	"deny":  denied,
	"read":  canRead | canList,
	"write": canCreate | canRead | canUpdate | canDelete | canList,
	"sudo":  canCreate | canRead | canUpdate | canDelete | canList | canSudo,
}

// needed returns the capability that op takes.
func needed(op logical.Op) capability {
	switch op {
	case logical.Read:
		return canRead
	case logical.List:
		return canList
	case logical.Create:
		return canCreate
	case logical.Update, logical.Write:
		return canUpdate
	case logical.Patch:
		return canPatch
	case logical.Delete:
		return canDelete
	}
	return 0
}

// grants says whether the set allows anything at all.
func (c capability) grants() bool { return c != 0 && c&denied == 0 }

// index numbers a set of one capability from 0.
func (c capability) index() int { return bits.TrailingZeros16(uint16(c)) }

// names returns the words of the set, sorted; a set that grants nothing is
// "deny".
func (c capability) names() []string {
	if !c.grants() {
		return []string{"deny"}
	}
	words := make([]string, 0, bits.OnesCount16(uint16(c)))
	for word, one := range capabilityNames {
		if c&one != 0 {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return words
}
