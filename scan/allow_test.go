package scan

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/scan/rules"
)

func TestCommentsAllowTheirLineOrTheNext(t *testing.T) {
	const secret = "password = k3Vq8sLm2xPz9w"
	for _, tt := range []struct {
		name, text string
		allowed    bool
	}{
		{"on the line", secret + " # coffer:allow", true},
		{"gitleaks' word", secret + " # gitleaks:allow", true},
		{"above, for the next line", "# coffer:allow-next-line: a test\n" + secret, true},
		{"above, with CRLF", "# coffer:allow-next-line\r\n" + secret, true},
		{"above, for itself only", "# coffer:allow\n" + secret, false},
		{"two above", "# coffer:allow-next-line\n\n" + secret, false},
		{"below", secret + "\n# coffer:allow-next-line", false},
	} {
		found := newScanner(t, Options{}).Bytes("app.conf", []byte(tt.text))
		if (len(found) == 0) != tt.allowed {
			t.Errorf("%s: %d found", tt.name, len(found))
		}
		if len(newScanner(t, Options{IgnoreAllow: true}).Bytes("app.conf", []byte(tt.text))) == 0 {
			t.Errorf("%s: not found when comments do not count", tt.name)
		}
	}
}

// A rule without keywords finds all that there is in a file of any length, once.
func TestExpressionsWithoutKeywordsAreTriedEverywhere(t *testing.T) {
	var text strings.Builder
	const n = 3000
	for i := range n {
		fmt.Fprintf(&text, "k%dq8w7e6r5t4y3z%04d;%s\n", i%10, i, strings.Repeat(". ", 500))
	}
	s := newScanner(t, Options{Rules: []rules.Rule{{ID: "any", Path: "^", Pattern: `k\dq8w7e6r5t4y3z(\d{4});`, Base: 1}}})
	seen := map[string]int{}
	err := s.Scan(context.Background(), Input{Path: "log", Data: []byte(text.String())}, Sink{Found: func(f Finding) { seen[f.Match.Reveal()]++ }})
	if err != nil || len(seen) < n*99/100 {
		t.Errorf("%d of %d found, %v", len(seen), n, err)
	}
	for match, times := range seen {
		if times > 1 {
			t.Errorf("%s: %d times", match, times)
		}
	}
}
