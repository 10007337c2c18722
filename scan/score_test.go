package scan

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/cofferhq/coffer/scan/rules"
)

// The score is how much of labelled samples is found, and how much of what is
// found is labelled. The samples are made from templates, in the same way each
// time; what the templates hold was written down without regard to how the scanner
// works. make scan-score prints the tables.

var showFaults = flag.Bool("faults", false, "list what was missed, and what was found where nothing is")

// labelled is a text with what is to be found in it; nothing, if that is empty.
type labelled struct {
	group, path, text, secret string
}

// score counts what was found in the samples of one group.
type score struct{ wanted, found, alarms int }

func (s score) recall() float64    { return ratio(s.found, s.wanted) }
func (s score) precision() float64 { return ratio(s.found, s.found+s.alarms) }

func ratio(part, whole int) float64 {
	if whole == 0 {
		return 1
	}
	return float64(part) / float64(whole)
}

// rate scans samples. It returns the scores by group, and what went wrong.
func rate(t *testing.T, samples []labelled) (total score, groups map[string]score, faults []string) {
	t.Helper()
	s := newScanner(t, Options{})
	groups = map[string]score{}
	for _, m := range samples {
		var found []Finding
		err := s.Scan(context.Background(), Input{Path: m.path, Data: []byte(m.text)}, Sink{Found: func(f Finding) { found = append(found, f) }})
		if err != nil {
			t.Fatal(err)
		}
		var one score
		if m.secret != "" {
			one.wanted = 1
		}
		for _, f := range found {
			if isSame(f.Secret.Reveal(), m.secret) {
				one.found = 1
				continue
			}
			one.alarms++
			faults = append(faults, fmt.Sprintf("false alarm: %s: %q: %s", m.path, m.text, describe([]Finding{f})))
		}
		if one.found < one.wanted {
			faults = append(faults, fmt.Sprintf("missed: %s: %q", m.path, m.text))
		}
		g := groups[m.group]
		groups[m.group] = score{g.wanted + one.wanted, g.found + one.found, g.alarms + one.alarms}
		total = score{total.wanted + one.wanted, total.found + one.found, total.alarms + one.alarms}
	}
	return total, groups, faults
}

// isSame says whether the finding is the labelled secret, or the better part of it.
func isSame(found, secret string) bool {
	return secret != "" && (strings.Contains(found, secret) || (strings.Contains(secret, found) && 2*len(found) > len(secret)))
}

// scoreTable shows scores, one group a line.
func scoreTable(title string, total score, groups map[string]score) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "\n%s\tsamples\trecall\tprecision\tfalse alarms\n", title)
	row := func(name string, s score) {
		fmt.Fprintf(w, "%s\t%d\t%.1f %%\t%.1f %%\t%d\n", name, s.wanted, 100*s.recall(), 100*s.precision(), s.alarms)
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		row(name, groups[name])
	}
	row("all", total)
	_ = w.Flush() // a strings.Builder takes all
	return b.String()
}

// floors fails the test if the score is lower than it may be.
func floors(t *testing.T, total score, recall, precision float64, faults []string) {
	t.Helper()
	if *showFaults {
		t.Log(strings.Join(faults, "\n"))
	}
	if total.recall() >= recall && total.precision() >= precision {
		return
	}
	t.Errorf("recall %.3f, want %.3f; precision %.3f, want %.3f", total.recall(), recall, total.precision(), precision)
	for _, f := range faults[:min(len(faults), 40)] {
		t.Log(f)
	}
}

// tokenContexts hold a token without regard to what it is.
var tokenContexts = []struct {
	name, path string
	text       func(s string) string
}{
	{"properties", "app.properties", func(s string) string { return "app.name=x\napp.token=" + s + "\n" }},
	{"XML", "app.xml", func(s string) string { return "<c><token>" + s + "</token></c>" }},
	{"an attribute of XML", "web.config", func(s string) string { return `<add key="Token" value="` + s + `" />` }},
	{"INI", "app.ini", func(s string) string { return "[api]\ntoken = " + s + "\n" }},
	{"TOML", "app.toml", func(s string) string { return "[api]\ntoken = \"" + s + "\"\n" }},
	{"Dockerfile", "Dockerfile", func(s string) string { return "FROM alpine\nENV TOKEN=" + s + "\n" }},
	{"a workflow", ".github/workflows/ci.yml", func(s string) string { return "    env:\n      TOKEN: " + s + "\n" }},
	{"Python", "app.py", func(s string) string { return "client = Client(\"" + s + "\")\n" }},
	{"Go", "app.go", func(s string) string { return "c := New(`" + s + "`)\n" }},
	{"Java", "App.java", func(s string) string { return "Client c = new Client(\"" + s + "\");\n" }},
	{"C#", "App.cs", func(s string) string { return "var c = new Client(\"" + s + "\");\n" }},
	{"PHP", "app.php", func(s string) string { return "$c = new Client('" + s + "');\n" }},
	{"Ruby", "app.rb", func(s string) string { return "c = Client.new('" + s + "')\n" }},
	{"SQL", "dump.sql", func(s string) string { return "INSERT INTO settings VALUES (1,'api','" + s + "');\n" }},
	{"a log", "app.log", func(s string) string { return "2026-01-02 10:11:12 INFO using " + s + ", 200 OK\n" }},
	{"a Kubernetes secret of two", "s.yaml", func(s string) string {
		return "apiVersion: v1\nkind: Secret\ndata:\n  a: " + base64.StdEncoding.EncodeToString([]byte("abc")) + "\n  key: " + base64.StdEncoding.EncodeToString([]byte(s)) + "\n"
	}},
}

var bareToken = regexp.MustCompile(`^[^\s"'=?&@/<>]+$`)

// knownSamples puts a token of every issuer into every context.
func knownSamples() (out []labelled) {
	for _, r := range rules.All() {
		if r.Token == "" || r.Base != 0 && r.Base < 0.8 {
			continue
		}
		for i, template := range r.Examples {
			if !bareToken.MatchString(template) {
				continue
			}
			secret := newFilling(uint64(1000 + i)).fill(template)
			for _, c := range contexts {
				out = append(out, labelled{c.name, c.path, c.text(secret), secret})
			}
			for _, c := range tokenContexts {
				out = append(out, labelled{c.name, c.path, c.text(secret), secret})
			}
		}
	}
	return out
}

func TestScoreOfKnownTokens(t *testing.T) {
	total, groups, faults := rate(t, knownSamples())
	t.Log(scoreTable("known tokens in", total, groups))
	floors(t, total, 0.95, 0.99, faults)
}

// namedContexts hold an assignment.
var namedContexts = []struct {
	name, path string
	text       func(name, s string) string
}{
	{"an env file", ".env", func(n, s string) string { return n + "=" + s + "\n" }},
	{"a shell", "run.sh", func(n, s string) string { return "export " + n + "=\"" + s + "\"\n" }},
	{"YAML", "a.yaml", func(n, s string) string { return "app:\n  " + strings.ToLower(n) + ": " + s + "\n" }},
	{"JSON", "a.json", func(n, s string) string { return toJSON(map[string]string{strings.ToLower(n): s}) }},
	{"JSON in JSON", "a.json", func(n, s string) string { return toJSON(map[string]string{"body": toJSON(map[string]string{n: s})}) }},
	{"Python", "a.py", func(n, s string) string { return n + " = '" + s + "'\n" }},
	{"JavaScript", "a.js", func(n, s string) string { return "const " + n + " = '" + s + "';\n" }},
	{"Go", "a.go", func(n, s string) string { return "const " + strings.ToLower(n) + " = \"" + s + "\"\n" }},
	{"Terraform", "a.tf", func(n, s string) string { return "  " + strings.ToLower(n) + " = \"" + s + "\"\n" }},
	{"properties", "a.properties", func(n, s string) string {
		return strings.ReplaceAll(strings.ToLower(n), "_", ".") + "=" + s + "\n"
	}},
	{"XML", "a.xml", func(n, s string) string { return "<" + n + ">" + s + "</" + n + ">\n" }},
	{"a diff", "a.diff", func(n, s string) string { return "@@ -1 +1 @@\n-a\n+" + n + "=" + s + "\n" }},
	{"UTF-16", "a.txt", func(n, s string) string { return toUTF16(n+"="+s+"\r\n", binary.LittleEndian, true) }},
	{"base 64", "a.txt", func(n, s string) string { return base64.StdEncoding.EncodeToString([]byte(n + "=" + s + "\n")) }},
}

func TestScoreOfTokensKnownByTheirName(t *testing.T) {
	var samples []labelled
	for _, r := range rules.All() {
		if r.Value == "" {
			continue
		}
		name, value, ok := strings.Cut(r.Examples[0], "=")
		if value = newFilling(2000).fill(strings.Trim(value, `"`)); !ok || strings.ContainsAny(name, "/;&") {
			continue
		}
		for _, c := range namedContexts {
			samples = append(samples, labelled{c.name, c.path, c.text(name, value), value})
		}
	}
	total, groups, faults := rate(t, samples)
	t.Log(scoreTable("named tokens in", total, groups))
	floors(t, total, 0.95, 0.99, faults)
}

// passwords are such as people choose, and keys such as programs make.
var (
	passwords = strings.Fields(`Summer2019! k3Vq8sLm2x letmein hunter2 qwerty123 admin123 dragonfly77 N0rthwind_2020 5tgb6yhn zaq1xsw2 BlueSky42 monkey1984
		Welcome2024 xK4nW8pZr1 sup3rS3cr3t tigerlily manchester liverpool1 Passw0rd! r00tme Oct0ber-31 mAst3rKey99 h7Gd2Kp9 1q2w3e4r5t`)
	keyTemplates = strings.Fields(`{b62:32} {hex:32} {hex:40} {low:24} {url:43} {b62:20} {hex:64} {b62:48}`)
	nouns        = strings.Fields(`user account service admin database payment mailer session cluster order invoice storage gateway worker profile customer`)
	phrases      = []string{
		"Enter your password", "must be at least eight characters", "Please choose a strong one", "Forgot your password?", "is invalid or has expired", "Confirm the new password",
		"The passwords do not match", "cannot be empty", "used to sign in to the service", "Passwort eingeben", "Mot de passe oublié ?", "Ingrese su contraseña", "Show", "required", "Sign in", "the token that is sent with each request",
	}
)

// readSamples reads a file of templates and fills each several times.
func readSamples(t *testing.T, file string, times int) (out []labelled) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	group := ""
	for n, line := range bytes.Split(data, []byte("\n")) {
		path, text, ok := strings.Cut(string(line), "|")
		if !ok || strings.HasPrefix(path, "#") {
			group = strings.TrimSpace(strings.TrimPrefix(string(line), "#"))
			continue
		}
		for i := range times {
			out = append(out, makeSample(group, path, text, uint64(n*100+i)))
		}
	}
	return out
}

func makeSample(group, path, text string, seed uint64) labelled {
	f := newFilling(seed)
	pick := func(from []string) string { return from[f.r.IntN(len(from))] }
	noun := pick(nouns)
	text = strings.NewReplacer(`\n`, "\n", "{password}", pick(passwords), "{key}", pick(keyTemplates), "{word}", noun, "{WORD}", strings.ToUpper(noun),
		"{Word}", strings.ToUpper(noun[:1])+noun[1:], "{phrase}", pick(phrases)).Replace(text)
	text = f.fill(text)
	before, rest, _ := strings.Cut(text, "⟦")
	secret, after, marked := strings.Cut(rest, "⟧")
	if !marked {
		return labelled{group, path, text, ""}
	}
	return labelled{group, path, before + secret + after, secret}
}

func TestScoreOfSecretsWithoutAnIssuer(t *testing.T) {
	total, groups, faults := rate(t, readSamples(t, "secrets.txt", 10))
	t.Log(scoreTable("secrets without an issuer", total, groups))
	floors(t, total, 0.60, 0.95, faults)
}

func TestScoreOfLookAlikes(t *testing.T) {
	samples := readSamples(t, "lookalikes.txt", 10)
	if len(samples) < 1000 {
		t.Fatalf("%d look-alikes are too few", len(samples))
	}
	total, _, faults := rate(t, samples)
	t.Logf("%d false alarms on %d look-alikes", total.alarms, len(samples))
	if *showFaults {
		t.Log(strings.Join(faults, "\n"))
	}
	if allowed := 2 * len(samples) / 1270; total.alarms > allowed {
		t.Errorf("%d false alarms, want at most %d", total.alarms, allowed)
		for _, f := range faults[:min(len(faults), 40)] {
			t.Log(f)
		}
	}
}
