package ignore

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/scan"
)

const aCommit = "0123456789abcdef0123456789abcdef01234567"

func finding(path, rule string, line int, secret string) scan.Finding {
	return scan.Finding{Path: path, RuleID: rule, Start: scan.Position{Line: line}, Secret: scan.NewSecret(secret)}
}

func inCommit(f scan.Finding, id string) scan.Finding {
	f.Commit = &scan.Commit{ID: id, Time: time.Unix(0, 0)}
	return f
}

func TestIgnoreFilesNamePlaces(t *testing.T) {
	file := strings.Join([]string{
		"\uFEFF# known", "", "app/a.conf:password:3 ", "./win/b.conf:token:1\r", `win\c.conf:token:1`, aCommit + ":app/d.conf:password:9", "odd:path:x:token:4", "nonsense",
	}, "\n")
	var l List
	strange, err := l.ReadPlaces(strings.NewReader(file))
	if err != nil || fmt.Sprint(strange) != "[8]" {
		t.Errorf("strange lines %v, error %v; want line 8", strange, err)
	}
	for _, tt := range []struct {
		name  string
		f     scan.Finding
		known bool
	}{
		{"a place", finding("app/a.conf", "password", 3, "x"), true},
		{"in any commit", inCommit(finding("app/a.conf", "password", 3, "x"), aCommit), true},
		{"not another line", finding("app/a.conf", "password", 4, "x"), false},
		{"not another rule", finding("app/a.conf", "token", 3, "x"), false},
		{"a path with a dot in front", finding("win/b.conf", "token", 1, "x"), true},
		{"a path of Windows", finding("win/c.conf", "token", 1, "x"), true},
		{"a path with colons", finding("odd:path:x", "token", 4, "x"), true},
		{"a place in its commit", inCommit(finding("app/d.conf", "password", 9, "x"), aCommit), true},
		{"not in another commit", inCommit(finding("app/d.conf", "password", 9, "x"), strings.Repeat("a", 40)), false},
		{"not outside of a history", finding("app/d.conf", "password", 9, "x"), false},
	} {
		if got := l.Has(tt.f); got != tt.known {
			t.Errorf("%s: known %t", tt.name, got)
		}
	}
}

func TestBaselinesKnowSecretsWhereverTheyStand(t *testing.T) {
	b := NewBaseline()
	b.Add(finding("a", "password", 1, "first-secret"))
	b.Add(finding("b\nline", "token", 2, "second-secret"))
	b.Add(finding("c", "token", 2, "second-secret"))
	var file bytes.Buffer
	if _, err := b.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	if text := file.String(); strings.Contains(text, "secret\n") || strings.Count(text, "\n") != 5 {
		t.Errorf("want a line for each of two secrets:\n%s", text)
	}
	again, err := ParseBaseline(file.Bytes())
	if err != nil || again.Len() != 2 {
		t.Fatalf("%d entries, error %v", again.Len(), err)
	}
	if !again.has(inCommit(finding("elsewhere", "other", 7, "second-secret"), aCommit)) || again.has(finding("a", "password", 1, "third-secret")) {
		t.Error("want the secret to tell, and nothing else")
	}
	if gone := again.Keep([]scan.Finding{finding("x", "y", 1, "first-secret")}); gone != 1 || again.has(finding("b", "token", 2, "second-secret")) {
		t.Errorf("%d forgotten; want the second", gone)
	}
}

func TestBaselinesOfTwoBranchesMerge(t *testing.T) {
	var ours, theirs bytes.Buffer
	a, b := NewBaseline(), NewBaseline()
	a.Add(finding("a", "r", 1, "of-ours"))
	b.Add(finding("b", "r", 1, "of-theirs"))
	a.WriteTo(&ours)
	b.WriteTo(&theirs)
	merged, err := ParseBaseline(append(ours.Bytes(), theirs.Bytes()...))
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	merged.WriteTo(&again)
	if merged, err = ParseBaseline(again.Bytes()); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"of-ours", "of-theirs"} {
		if !merged.has(finding("z", "z", 1, secret)) {
			t.Errorf("%s is not known", secret)
		}
	}
}

func TestOtherProgramsBaselinesAreRead(t *testing.T) {
	sum := sha1.Sum([]byte("hunter22"))
	for _, tt := range []struct {
		name, file string
		f          scan.Finding
		known      bool
	}{
		{"gitleaks, by the secret", `[{"RuleID":"r","File":"a","StartLine":1,"Secret":"hunter22"}]`, finding("b", "other", 5, "hunter22"), true},
		{"gitleaks, another secret in the place", `[{"RuleID":"r","File":"a","StartLine":1,"Secret":"hunter22"}]`, finding("a", "r", 1, "hunter23"), false},
		{"gitleaks, redacted, by the place", `[{"RuleID":"r","File":"a","StartLine":1,"Secret":"REDACTED"}]`, finding("a", "r", 1, "hunter22"), true},
		{"gitleaks, redacted, not in another place", `[{"RuleID":"r","File":"a","StartLine":1,"Secret":"REDACTED"}]`, finding("a", "r", 2, "hunter22"), false},
		{"detect-secrets", fmt.Sprintf(`{"version":"1.5.0","results":{"a":[{"type":"Secret Keyword","hashed_secret":"%x","line_number":1}]}}`, sum), finding("b", "r", 1, "hunter22"), true},
		{"detect-secrets, audited as a secret", fmt.Sprintf(`{"results":{"a":[{"hashed_secret":"%x","is_secret":true}]}}`, sum), finding("b", "r", 1, "hunter22"), false},
		{"detect-secrets, the sum itself", fmt.Sprintf(`{"results":{"a":[{"hashed_secret":"%x"}]}}`, sum), finding(".secrets.baseline", "r", 1, fmt.Sprintf("%x", sum)), true},
		{"an empty report", `[]`, finding("b", "r", 1, "hunter22"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var l List
			if err := l.ReadBaseline([]byte(tt.file)); err != nil {
				t.Fatal(err)
			}
			if got := l.Has(tt.f); got != tt.known {
				t.Errorf("known %t", got)
			}
		})
	}
}

func TestErrorsDoNotQuoteWhatIsRead(t *testing.T) {
	for _, file := range []string{`[{"Secret":hunter22`, `{"results":"hunter22"}`, `{"a":"hunter22"}`, "hunter22", baselineHead + "\nhunter22", baselineHead + "\nkey hunter22", baselineHead} {
		err := new(List).ReadBaseline([]byte(file))
		if err == nil || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%q: %v", file, err)
		}
	}
}

// Whatever a file holds, it is read or refused, and what was read is written back.
func FuzzReadBaseline(f *testing.F) {
	for _, seed := range []string{"[]", `{"results":{}}`, baselineHead, baselineHead + "\nkey " + strings.Repeat("ab", keyBytes) + "\n" + strings.Repeat("cd", hashBytes) + " r p\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var l List
		if l.ReadBaseline(data) == nil {
			l.Has(finding("a", "b", 1, "c"))
		}
		l.ReadPlaces(bytes.NewReader(data))
		b, err := ParseBaseline(data)
		if err != nil {
			return
		}
		var out bytes.Buffer
		b.WriteTo(&out)
		if again, err := ParseBaseline(out.Bytes()); err != nil || again.Len() != b.Len() {
			t.Errorf("written back: %v", err)
		}
	})
}
