// Package password makes passwords for accounts in other systems: Vault's password
// policies, read from their text, and passwords that satisfy one. It keeps no
// policy and no password.
//
// Start reading at [Parse], then [Policy.Generate].
package password

import (
	"context"
	"sync"
	"unicode/utf8"

	"github.com/cofferhq/coffer/internal/secret"
)

// DefaultText is the policy for those who have chosen none, Vault's own.
const DefaultText = `length = 20
rule "charset" {
  charset = "abcdefghijklmnopqrstuvwxyz"
  min-chars = 1
}
rule "charset" {
  charset = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
  min-chars = 1
}
rule "charset" {
  charset = "0123456789"
  min-chars = 1
}
rule "charset" {
  charset = "-"
  min-chars = 1
}
`

// Source finds a policy by its name. Its error is of kind logical.ErrInvalid if
// there is none of that name; the text is for who has chosen the name.
type Source func(ctx context.Context, name string) (Policy, error)

// Policy says what passwords look like. Its zero value is the policy of
// [DefaultText]. It is immutable and safe for concurrent use.
type Policy struct {
	length int    // characters of a password; zero: the zero value
	chars  []rune // the union of the rules' sets, each once
	rules  []rule // never none, but in the zero value
}

// rule asks for some characters of a set.
type rule struct {
	min    int
	chars  []rune        // the set, each once
	member map[rune]bool // the same
}

var standard = sync.OnceValue(func() Policy {
	p, err := Parse(DefaultText)
	if err != nil {
		panic("password: internal error: the default policy: " + err.Error()) // any test finds it
	}
	return p
})

// candidateChars is how many characters are drawn in search of a password before
// one is put together instead: some milliseconds of work.
const candidateChars = 1 << 18

// Generate returns a new password, in UTF-8. Each one that the policy admits is as
// likely as any other: characters are drawn from all sets together until a
// password satisfies the rules. Where the rules are so strict that hardly any
// does, what they ask for is drawn first, and shuffled in with the rest; how often
// a character comes then follows the rules.
func (p Policy) Generate() secret.Bytes {
	if p.length == 0 {
		p = standard()
	}
	var d dice
	defer d.forget()
	candidate := make([]rune, p.length)
	defer clear(candidate)
	for range max(1, candidateChars/p.length) {
		d.draw(candidate, p.chars)
		if p.admits(candidate) {
			return sealed(candidate)
		}
	}
	p.assemble(&d, candidate)
	return sealed(candidate)
}

// admits says whether candidate satisfies the rules.
func (p Policy) admits(candidate []rune) bool {
	for i := range p.rules {
		r := &p.rules[i]
		missing := r.min
		for _, c := range candidate {
			if missing <= 0 {
				break
			}
			if r.member[c] {
				missing--
			}
		}
		if missing > 0 {
			return false
		}
	}
	return true
}

// assemble fills candidate with what each rule asks for, then from all sets, and
// shuffles it. What the rules ask for fits: Parse has seen to that.
func (p Policy) assemble(d *dice, candidate []rune) {
	rest := candidate
	for i := range p.rules {
		r := &p.rules[i]
		d.draw(rest[:r.min], r.chars)
		rest = rest[r.min:]
	}
	d.draw(rest, p.chars)
	for i := len(candidate) - 1; i > 0; i-- {
		j := d.below(i + 1)
		candidate[i], candidate[j] = candidate[j], candidate[i]
	}
}

func sealed(password []rune) secret.Bytes {
	text := make([]byte, 0, len(password)*utf8.UTFMax)
	for _, c := range password {
		text = utf8.AppendRune(text, c)
	}
	defer clear(text)
	return secret.New(text)
}
