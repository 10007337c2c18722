package rules

import "slices"

// Version changes with every change that can change what is found: a cache of
// what has been seen to be clean is good for one version.
const Version = 1

// lists are the rules, by the files that hold them. The order decides between two
// rules that are as sure of the same text: the specific come first.
var lists = [...][]Rule{
	vcs, registry, secretstore, cloud, hosting, ai, payment, messaging, email, monitoring, database, identity, ci, saas, lookup, crypto, keys, calls, generic,
}

// All returns coffer's own rules. The slice is the caller's, what it holds is not.
func All() []Rule { return slices.Concat(lists[:]...) }

// wordsOnly is for rules that tell a secret by its name and its length: names of
// things have no digits, and a secret of twenty characters has one nearly always.
var wordsOnly = []Allow{{Description: "a name without digits", Patterns: []string{`^[A-Za-z_.-]+$`}}}
