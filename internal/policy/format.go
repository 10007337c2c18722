package policy

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/hcl/parser"
	"github.com/hashicorp/hcl/hcl/printer"
)

// Format returns the text of a policy laid out in the usual way, with its
// comments. The text must be one that [Parse] takes; JSON stays JSON.
func Format(text string) (string, error) {
	if _, err := Parse("", text); err != nil {
		return "", err
	}
	var b bytes.Buffer
	if strings.HasPrefix(strings.TrimLeftFunc(text, unicode.IsSpace), "{") {
		if err := json.Indent(&b, []byte(strings.TrimSpace(text)), "", "  "); err != nil {
			return "", errorAt(0, "not JSON")
		}
		return b.String() + "\n", nil
	}
	file, err := parser.ParseDontErrorOnDuplicateKeys([]byte(text))
	if err != nil {
		return "", errorAt(0, "not HCL")
	}
	if err := printer.Fprint(&b, file.Node); err != nil {
		return "", errorAt(0, "not HCL")
	}
	out := strings.TrimSpace(b.String())
	if out != "" {
		out += "\n"
	}
	return out, nil
}
