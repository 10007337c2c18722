package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// writeHelp writes how to call a command.
func writeHelp(w io.Writer, cmd *Command, f *Flags) {
	usage := program + " " + cmd.Name
	if len(f.specs) > 0 {
		usage += " [flags]"
	}
	if cmd.Args != "" {
		usage += " " + cmd.Args
	}
	fmt.Fprintf(w, "Usage: %s\n\n%s.\n", usage, cmd.Short)
	if cmd.Long != "" {
		fmt.Fprintf(w, "\n%s\n", strings.Trim(cmd.Long, "\n"))
	}
	writeFlags(w, "Flags", f.specs, false)
	writeFlags(w, "Flags of many commands", f.specs, true)
}

func writeFlags(w io.Writer, title string, specs []FlagSpec, global bool) {
	specs = slices.DeleteFunc(slices.Clone(specs), func(s FlagSpec) bool { return s.global != global })
	if len(specs) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", title)
	for _, s := range specs {
		head := "-" + s.Name
		if s.Value != "" {
			head += "=<" + s.Value + ">"
		}
		usage := s.Usage
		if s.Default != "" && s.Default != "0" {
			usage += " Default: " + s.Default + "."
		}
		fmt.Fprintf(w, "  %s\n      %s\n", head, usage)
	}
}

// writeGroupHelp lists the commands of a group; the empty one is the program.
func writeGroupHelp(w io.Writer, commands []Command, group string) {
	prefix, title := "", program
	if group != "" {
		prefix, title = group+" ", program+" "+group
	}
	fmt.Fprintf(w, "Usage: %s <command> [flags] [arguments]\n\nCommands:\n", title)
	var rows []row
	seen := map[string]bool{}
	for _, c := range commands {
		rest, ok := strings.CutPrefix(c.Name, prefix)
		word, more, isGroup := strings.Cut(rest, " ")
		if !ok || c.Hidden || seen[word] || more == "" && isGroup {
			continue
		}
		seen[word] = true
		short := c.Short
		if isGroup {
			short = groups[prefix+word]
		}
		rows = append(rows, row{word, short})
	}
	width := 0
	for _, r := range rows {
		width = max(width, len(r.key))
	}
	for _, r := range rows {
		fmt.Fprintf(w, "  %-*s  %s\n", width, r.key, r.value)
	}
	fmt.Fprintf(w, "\nAdd -help to a command for its flags and examples.\n")
}

// groups tells what the commands of a group are about.
var groups = map[string]string{
	"audit":         "List, enable and disable audit devices",
	"auth":          "List, enable, tune and disable auth methods",
	"completion":    "Complete commands and flags in a shell",
	"drill":         "Find out how long stolen secrets stay of use",
	"env":           "Check .env files, and move their secrets into the store",
	"events":        "Follow what happens on the server",
	"kv":            "Read and write versioned secrets",
	"kv metadata":   "Read and write what is known about a secret",
	"lease":         "Look up, renew and revoke leases",
	"operator":      "Initialise, seal and unseal the server",
	"policy":        "List, read, write, delete, explain and test policies",
	"print":         "Print what the command line would use",
	"rotation":      "Make secrets change on schedule, and see how that goes",
	"scan":          "Find secrets in files and in git's history",
	"scan baseline": "Take the secrets that are there for known",
	"secrets":       "List, enable, move, tune and disable secrets engines",
	"token":         "Create, look up, renew and revoke tokens",
}
