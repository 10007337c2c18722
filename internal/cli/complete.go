package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/internal/policy"
)

// candidate is what a word may become.
type candidate struct{ value, note string }

func completeCommand() Command {
	return Command{
		Name: "__complete", Hidden: true, ForeignFlags: true, MaxArgs: -1,
		Short: "Print what the last word may become, for the scripts of shells",
		Long: `
  What can follow "coffer kv ":
      $ coffer __complete -- kv ""`,
		New: func(*Flags) Run {
			return func(_ context.Context, c *Call) error {
				for _, found := range complete(Commands(), c.Args, c.System) {
					line := found.value
					if found.note != "" {
						line += "\t" + found.note
					}
					c.Print(line)
				}
				return nil
			}
		},
	}
}

// complete returns what the last of words may become, given those before it.
func complete(commands []Command, words []string, sys System) []candidate {
	if len(words) == 0 {
		return nil
	}
	current, before := words[len(words)-1], words[:len(words)-1]
	cmd, rest := find(commands, before)
	if cmd == nil {
		return nextWords(commands, strings.Join(before, " "), current)
	}
	f := newFlags()
	call := &Call{System: sys}
	cmd.declare(f, call)
	at := stand(f, rest)
	switch {
	case at.pending != "":
		return f.values(at.pending, "", current, sys)
	case at.args == 0 && !at.ended && strings.HasPrefix(current, "-"):
		return f.names(current, sys)
	case cmd.ForeignFlags:
		return nil
	case at.args == 0 && strings.HasPrefix(cmd.Name, "rotation "):
		if f.parse(rest) != nil {
			return nil
		}
		return call.rotationNames(current)
	}
	found := cmd.argument(at.args, current, sys)
	if len(rest) == 0 { // the command may be the beginning of others' names
		found = append(found, nextWords(commands, cmd.Name, current)...)
	}
	return found
}

// nextWords are the words that follow group in the names of commands.
func nextWords(commands []Command, group, current string) []candidate {
	prefix := group
	if prefix != "" {
		prefix += " "
	}
	var found []candidate
	seen := map[string]bool{}
	for _, cmd := range commands {
		rest, ok := strings.CutPrefix(cmd.Name, prefix)
		word, _, more := strings.Cut(rest, " ")
		if !ok || word == "" || cmd.Hidden || seen[word] || !strings.HasPrefix(word, current) {
			continue
		}
		seen[word] = true
		note := cmd.Short
		if more {
			note = groups[prefix+word]
		}
		found = append(found, candidate{word, note})
	}
	return found
}

// spot is where in a call the current word stands.
type spot struct {
	pending string // flag whose value it is
	args    int    // arguments before it
	ended   bool   // flags are over
}

func stand(f *Flags, words []string) spot {
	var at spot
	for _, w := range words {
		switch {
		case at.pending != "":
			at.pending = ""
		case at.ended || at.args > 0:
			at.args++
		case w == "--":
			at.ended = true
		case len(w) > 1 && w[0] == '-':
			name, _, given := strings.Cut(strings.TrimLeft(w, "-"), "=")
			if !given && f.takesValue(name) {
				at.pending = name
			}
		default:
			at.args++
		}
	}
	return at
}

func (f *Flags) takesValue(name string) bool {
	fl := f.set.Lookup(name)
	if fl == nil {
		return false
	}
	b, ok := fl.Value.(interface{ IsBoolFlag() bool })
	return !ok || !b.IsBoolFlag()
}

// names completes a flag, or its value behind an equals sign.
func (f *Flags) names(current string, sys System) []candidate {
	dashes := current[:len(current)-len(strings.TrimLeft(current, "-"))]
	if name, value, ok := strings.Cut(current[len(dashes):], "="); ok {
		return f.values(name, dashes+name+"=", value, sys)
	}
	if len(dashes) > 2 {
		return nil
	}
	var found []candidate
	for _, s := range f.specs {
		word := dashes + s.Name
		if s.Value != "" {
			word += "="
		}
		if strings.HasPrefix(word, current) {
			found = append(found, candidate{word, firstSentence(s.Usage)})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int { return strings.Compare(a.value, b.value) })
	return found
}

// values completes the value of a flag: one of its choices, or a file.
func (f *Flags) values(name, prefix, current string, sys System) []candidate {
	i := slices.IndexFunc(f.specs, func(s FlagSpec) bool { return s.Name == name })
	switch {
	case i < 0:
		return nil
	case f.specs[i].Choices != nil:
		return choose(f.specs[i].Choices, prefix, current)
	case f.specs[i].Value == "string" || f.specs[i].Value == "string,...":
		return files(prefix, current, sys)
	}
	return nil
}

func choose(choices []string, prefix, current string) []candidate {
	var found []candidate
	for _, choice := range choices {
		if strings.HasPrefix(choice, current) {
			found = append(found, candidate{prefix + choice, ""})
		}
	}
	return found
}

// argument completes an argument, counted from zero.
func (c *Command) argument(n int, current string, sys System) []candidate {
	if types, ok := knownTypes()[c.Name]; ok && n == 0 {
		return choose(types, "", current)
	}
	if strings.HasPrefix(c.Name, "scan") {
		return files("", current, sys)
	}
	if names := strings.Fields(c.Args); n < len(names) && strings.Trim(names[n], "[.]") == "FILE" {
		return files("", current, sys)
	}
	if !strings.Contains(c.Args, "DATA") && !strings.Contains(c.Args, "KEY=VALUE") {
		return nil
	}
	if strings.HasPrefix(current, "@") {
		return files("@", current[1:], sys)
	}
	if key, value, ok := strings.Cut(current, "=@"); ok {
		return files(key+"=@", value, sys)
	}
	return nil
}

// knownTypes are first arguments of which we know some.
func knownTypes() map[string][]string {
	methods := append(slices.Collect(maps.Keys(loginMethods)), "token")
	slices.Sort(methods)
	return map[string][]string{
		"secrets enable": {"kv", "kv-v2"},
		"auth enable":    {"approle"},
		"auth help":      methods,
		"audit enable":   {"file", "socket", "syslog"},
		"policy explain": policy.OpWords(),
	}
}

// files lists the files whose paths begin with current, folders with a slash.
func files(prefix, current string, sys System) []candidate {
	dir, base := filepath.Split(current)
	where := dir
	if rest, ok := strings.CutPrefix(dir, "~/"); ok && sys.Getenv("HOME") != "" {
		where = filepath.Join(sys.Getenv("HOME"), rest)
	}
	if where == "" {
		where = "."
	}
	entries, err := os.ReadDir(where)
	if err != nil {
		return nil // nothing to offer is no mistake
	}
	var found []candidate
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, base) || strings.HasPrefix(name, ".") && base == "" {
			continue
		}
		if info, err := os.Stat(filepath.Join(where, name)); err == nil && info.IsDir() {
			name += "/"
		}
		found = append(found, candidate{fmt.Sprint(prefix, dir, name), ""})
	}
	return found
}

func firstSentence(text string) string {
	first, _, _ := strings.Cut(text, ". ")
	return strings.TrimSuffix(first, ".")
}
