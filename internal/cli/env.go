package cli

import (
	"fmt"
	"strings"
)

// dotenvFile is what the env commands read if nothing is named.
const dotenvFile = ".env"

// fileArgument returns the argument at i, or .env.
func (c *Call) fileArgument(i int) string {
	if len(c.Args) > i {
		return c.Args[i]
	}
	return dotenvFile
}

// confirm asks on the terminal whether to go on, unless yes says so. Without a
// terminal nothing is asked, and the answer is an error that names the flag.
func (c *Call) confirm(question string, yes bool) (bool, error) {
	if yes {
		return true, nil
	}
	if !c.StdinTTY || c.opts.noQuestions != nil && *c.opts.noQuestions {
		return false, &failure{code: exitLocal, text: "Nobody can be asked: " + question, hint: "Give -yes to go on without a question."}
	}
	fmt.Fprintf(c.Stderr, "%s [y/N] ", question)
	line, err := c.readLine()
	if err != nil {
		return false, err
	}
	answer := strings.ToLower(line)
	return answer == "y" || answer == "yes", nil
}
