package password

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cofferhq/coffer/internal/stanza"
)

// Limits of a policy. Those that Vault documents are MinLength and MaxChars.
const (
	MinLength    = 4
	MaxLength    = 1024
	MaxChars     = 256 // different characters, of all rules together
	MaxRules     = 64
	MaxTextBytes = 64 << 10
)

// Parse reads the text of a policy, HCL or JSON, in the grammar that Vault
// documents. Errors name the line where they can.
//
// A policy whose rules ask for more characters than the length has is refused,
// although sets that overlap might allow it: no one would notice the mistake.
func Parse(text string) (Policy, error) {
	if len(text) > MaxTextBytes {
		return Policy{}, fmt.Errorf("the policy is longer than %d bytes", MaxTextBytes)
	}
	read := stanza.ParseHCL
	if strings.HasPrefix(strings.TrimLeftFunc(text, unicode.IsSpace), "{") {
		read = stanza.ParseJSON
	}
	root, err := read([]byte(text))
	if err != nil {
		return Policy{}, err
	}
	var p Policy
	for i := range root.Entries {
		e := &root.Entries[i]
		switch e.Key {
		case "length":
			err = p.readLength(e)
		case "rule":
			err = p.readRules(&e.Value)
		default:
			err = errorAt(e.Line, "invalid key %q: expected \"length\" or \"rule\"", e.Key)
		}
		if err != nil {
			return Policy{}, err
		}
	}
	return p, p.check()
}

// check reports what only the whole shows.
func (p *Policy) check() error {
	if p.length == 0 {
		return fmt.Errorf("\"length\" is missing")
	}
	if len(p.rules) == 0 {
		return fmt.Errorf("no charset specified: at least one rule \"charset\" is needed")
	}
	asked := 0
	for _, r := range p.rules {
		asked += min(r.min, MaxLength+1) // no overflow, there are few rules
	}
	if asked > p.length {
		return fmt.Errorf("the rules ask for more characters than the length of %d has", p.length)
	}
	return nil
}

func (p *Policy) readLength(e *stanza.Entry) error {
	if p.length != 0 {
		return errorAt(e.Line, "\"length\" was already set")
	}
	n, ok := numberOf(&e.Value)
	if !ok || n < MinLength || n > MaxLength {
		return errorAt(e.Line, "\"length\" must be a number from %d to %d", MinLength, MaxLength)
	}
	p.length = n
	return nil
}

// readRules takes what stands at a "rule" key: an object from kinds of rule to
// their blocks, or a list of such objects, as JSON may have it.
func (p *Policy) readRules(n *stanza.Node) error {
	for _, kinds := range elements(n) {
		if kinds.Shape != stanza.Object {
			return errorAt(kinds.Line, "\"rule\": expected \"charset\" and a block")
		}
		for i := range kinds.Entries {
			e := &kinds.Entries[i]
			if e.Key != "charset" {
				return errorAt(e.Line, "invalid rule %q: expected \"charset\"", e.Key)
			}
			for _, block := range elements(&e.Value) {
				if err := p.addCharset(&block); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (p *Policy) addCharset(block *stanza.Node) error {
	if block.Shape != stanza.Object {
		return errorAt(block.Line, "rule \"charset\": expected a block")
	}
	if len(p.rules) == MaxRules {
		return errorAt(block.Line, "more than %d rules", MaxRules)
	}
	var r rule
	seen := map[string]bool{}
	for i := range block.Entries {
		e := &block.Entries[i]
		if seen[e.Key] {
			return errorAt(e.Line, "%q was already set", e.Key)
		}
		seen[e.Key] = true
		var err error
		switch e.Key {
		case "charset":
			err = r.readChars(e)
		case "min-chars":
			err = r.readMin(e)
		default:
			err = errorAt(e.Line, "invalid key %q: expected \"charset\" or \"min-chars\"", e.Key)
		}
		if err != nil {
			return err
		}
	}
	if len(r.chars) == 0 {
		return errorAt(block.Line, "rule \"charset\": its \"charset\" is missing or empty")
	}
	p.rules = append(p.rules, r)
	p.chars = unique(append(p.chars, r.chars...))
	if len(p.chars) > MaxChars {
		return errorAt(block.Line, "the rules have more than %d different characters", MaxChars)
	}
	return nil
}

func (r *rule) readChars(e *stanza.Entry) error {
	text, ok := e.Value.Text()
	if !ok || !utf8.ValidString(text) {
		return errorAt(e.Line, "\"charset\" must be a text in UTF-8")
	}
	for _, c := range text {
		if !unicode.IsPrint(c) {
			return errorAt(e.Line, "\"charset\" has the character %U, which cannot be printed", c)
		}
	}
	r.chars = unique([]rune(text))
	r.member = make(map[rune]bool, len(r.chars))
	for _, c := range r.chars {
		r.member[c] = true
	}
	return nil
}

func (r *rule) readMin(e *stanza.Entry) error {
	n, ok := numberOf(&e.Value)
	if !ok || n < 0 {
		return errorAt(e.Line, "\"min-chars\" must be a number of characters")
	}
	r.min = n
	return nil
}

// unique returns chars sorted, each once. It overwrites chars.
func unique(chars []rune) []rune {
	slices.Sort(chars)
	return slices.Compact(chars)
}

// elements returns the items of a list, or n itself.
func elements(n *stanza.Node) []stanza.Node {
	if n.Shape == stanza.List {
		return n.Items
	}
	return []stanza.Node{*n}
}

func numberOf(n *stanza.Node) (int, bool) {
	text, _ := n.Text()
	number, err := strconv.Atoi(text)
	return number, err == nil
}

func errorAt(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %s", line, fmt.Sprintf(format, args...))
}
