package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/cofferhq/coffer/scan"
	"github.com/cofferhq/coffer/scan/rules"
)

const canary = "k3Vq8sLm2xPz9w<b>&\"'"

// sample has what formats stumble over: signs of theirs, bytes that are no text,
// things that were not read.
func sample() *Report {
	return &Report{
		Version: "0.1.0", Target: "app", Time: time.Unix(1700000000, 0), Tags: map[string][]string{"acme": {"internal"}},
		Findings: []scan.Finding{
			{
				RuleID: "acme", Description: "Acme <key>", Severity: rules.High, Path: "=cmd|app/ü \xff.conf", Name: "pass\x1b[31mword",
				Start: scan.Position{Offset: 20, Line: 2, Column: 12}, End: scan.Position{Offset: 40, Line: 2, Column: 32},
				Secret: scan.NewSecret(canary), Match: scan.NewSecret("key = " + canary), Confidence: 0.83, Entropy: 3.5, Reasons: []string{"has the shape", "in <quotes>"},
			},
			{
				RuleID: "pem", Description: "private key", Severity: rules.Critical, Path: "app/key.pem!/k",
				Start: scan.Position{Line: 1, Column: 1}, End: scan.Position{Line: 9, Column: 30}, Secret: scan.NewSecret(canary + "\n" + canary), Match: scan.NewSecret("b64"), Confidence: 1,
				Decoded: []string{"gzip"}, Commit: &scan.Commit{ID: strings.Repeat("ab", 20), Author: "@sum", Email: "a@b", Message: "-first\nsecond", Time: time.Unix(1700000000, 0)},
			},
		},
		Skipped: []Skipped{{"app/locked", errors.New("permission denied")}},
	}
}

func written(t *testing.T, r *Report, f Format) string {
	t.Helper()
	var out bytes.Buffer
	if err := r.Write(&out, f); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestNoFormatShowsASecretUnasked(t *testing.T) {
	for _, f := range Formats() {
		out := written(t, sample(), Format(f))
		for _, part := range []string{"3Vq8sLm2", "Vq8sLm2xPz9w"} {
			if strings.Contains(out, part) {
				t.Errorf("%s holds the secret", f)
			}
		}
		shown := sample()
		shown.Show = true
		if !strings.Contains(written(t, shown, Format(f)), "3Vq8sLm2") {
			t.Errorf("%s does not hold the secret when asked", f)
		}
	}
	if err := sample().Write(&bytes.Buffer{}, "pdf"); !errors.Is(err, ErrFormat) {
		t.Errorf("unknown format: %v", err)
	}
}

func TestTextDoesNothingToATerminal(t *testing.T) {
	out := written(t, sample(), Text)
	if strings.ContainsAny(out, "\x1b\x07\r") {
		t.Errorf("control characters in %q", out)
	}
	var coloured bytes.Buffer
	if err := sample().WriteText(&coloured, true); err != nil || !strings.Contains(coloured.String(), "\x1b[") {
		t.Errorf("no colours in %q", coloured.String())
	}
}

func TestJSONHasTheFieldsOfGitleaksReports(t *testing.T) {
	var all []map[string]any
	if err := json.Unmarshal([]byte(written(t, sample(), JSON)), &all); err != nil || len(all) != 2 {
		t.Fatal(len(all), err)
	}
	for _, name := range []string{
		"RuleID", "Description", "StartLine", "EndLine", "StartColumn", "EndColumn", "Match", "Secret", "File", "SymlinkFile",
		"Commit", "Entropy", "Author", "Email", "Date", "Message", "Tags", "Fingerprint",
	} {
		if _, there := all[0][name]; !there {
			t.Errorf("no %s", name)
		}
	}
	if got := all[1]["Fingerprint"]; got != strings.Repeat("ab", 20)+":app/key.pem!/k:pem:1" {
		t.Errorf("fingerprint %v", got)
	}
	if got := written(t, &Report{}, JSON); got != "[]\n" {
		t.Errorf("of nothing: %q", got)
	}
}

// What the schema of SARIF 2.1.0 requires, and code hosts beyond it.
func TestSARIFHasWhatItsReadersRequire(t *testing.T) {
	for name, r := range map[string]*Report{"findings": sample(), "nothing": {}} {
		var log map[string]any
		if err := json.Unmarshal([]byte(written(t, r, SARIF)), &log); err != nil {
			t.Fatal(err)
		}
		if log["version"] != "2.1.0" || !strings.HasSuffix(log["$schema"].(string), "sarif-schema-2.1.0.json") {
			t.Errorf("%s: version %v", name, log["version"])
		}
		run := log["runs"].([]any)[0].(map[string]any)
		driver := run["tool"].(map[string]any)["driver"].(map[string]any)
		ruleList := driver["rules"].([]any)
		results := run["results"].([]any) // null would say that there was no scan
		if driver["name"] != "coffer" || len(results) != len(r.Findings) {
			t.Errorf("%s: %d results of %v", name, len(results), driver["name"])
		}
		invocation := run["invocations"].([]any)[0].(map[string]any)
		if invocation["executionSuccessful"] != (len(r.Skipped) == 0) {
			t.Errorf("%s: executionSuccessful %v", name, invocation["executionSuccessful"])
		}
		for _, one := range results {
			checkSARIFResult(t, one.(map[string]any), ruleList)
		}
	}
}

func checkSARIFResult(t *testing.T, result map[string]any, ruleList []any) {
	t.Helper()
	rule := ruleList[int(result["ruleIndex"].(float64))].(map[string]any)
	if rule["id"] != result["ruleId"] || rule["shortDescription"].(map[string]any)["text"] == "" {
		t.Errorf("rule %v of result %v", rule, result["ruleId"])
	}
	if result["message"].(map[string]any)["text"] == "" || result["partialFingerprints"].(map[string]any)["cofferFinding/v1"] == "" {
		t.Errorf("no text or fingerprint in %v", result)
	}
	if l := result["level"]; l != "error" && l != "warning" && l != "note" {
		t.Errorf("level %v", l)
	}
	physical := result["locations"].([]any)[0].(map[string]any)["physicalLocation"].(map[string]any)
	uri := physical["artifactLocation"].(map[string]any)["uri"].(string)
	if strings.ContainsAny(uri, " <>\\") || !utf8.ValidString(uri) || uri == "" {
		t.Errorf("not a URI: %q", uri)
	}
	region := physical["region"].(map[string]any)
	number := func(name string) float64 { return region[name].(float64) }
	if number("startLine") < 1 || number("startColumn") < 1 || number("endLine") < number("startLine") || number("endColumn") < 1 {
		t.Errorf("region %v", region)
	}
}

func TestJUnitFailsForFindingsAndPassesWithout(t *testing.T) {
	var suites struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Suite    struct {
			Cases []struct {
				Failure *struct{} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(written(t, sample(), JUnit)), &suites); err != nil {
		t.Fatal(err)
	}
	if suites.Tests != 3 || suites.Failures != 2 || suites.Errors != 1 || len(suites.Suite.Cases) != 3 {
		t.Errorf("%+v", suites)
	}
	if out := written(t, &Report{}, JUnit); !strings.Contains(out, `tests="1" failures="0"`) {
		t.Errorf("of nothing: %s", out)
	}
}

func TestCSVHoldsNoFormulas(t *testing.T) {
	rows, err := csv.NewReader(strings.NewReader(written(t, sample(), CSV))).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				t.Errorf("formula %q", cell)
			}
		}
	}
	for _, cell := range []string{"=1", " =1", "\"=1", "+1", "-1", "@x", "\tx", "＝1"} {
		if inert(cell) != "'"+cell {
			t.Errorf("%q stays", cell)
		}
	}
}

func TestHTMLIsOnePageWithoutScripts(t *testing.T) {
	out := written(t, sample(), HTML)
	for _, never := range []string{"<script", "http://", "https://", "<key>", "<quotes>", "ZgotmplZ"} {
		if strings.Contains(out, never) {
			t.Errorf("%q in the page", never)
		}
	}
	for _, want := range []string{"2 secrets found.", "<svg", "Acme &lt;key&gt;", "permission denied", "By severity"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	if out := written(t, &Report{}, HTML); !strings.Contains(out, "No secrets found.") || strings.Contains(out, "<svg") {
		t.Errorf("of nothing: %s", out)
	}
}

func TestReportsReplaceFilesOnly(t *testing.T) {
	dir := t.TempDir()
	file, link, dangling := filepath.Join(dir, "r.json"), filepath.Join(dir, "link"), filepath.Join(dir, "dangling")
	if err := os.WriteFile(file, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	os.Symlink("r.json", link)
	os.Symlink("nothing", dangling)
	if err := sample().WriteFile(link, JSON); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link is gone")
	}
	if data, _ := os.ReadFile(file); !bytes.HasPrefix(data, []byte("[")) {
		t.Errorf("not written: %s", data)
	}
	if info, _ := os.Stat(file); info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v", info.Mode())
	}
	for _, path := range []string{dir, "/dev/null", dangling} {
		if err := sample().WriteFile(path, JSON); err == nil {
			t.Errorf("%s is overwritten", path)
		}
	}
	if err := sample().WriteFile(file, "pdf"); err == nil {
		t.Error("an unknown format is written")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".coffer-*")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	if data, _ := os.ReadFile(file); !bytes.HasPrefix(data, []byte("[")) {
		t.Error("what was there is gone")
	}
}

func TestTheNameOfAFileTellsItsFormat(t *testing.T) {
	for name, want := range map[string]Format{"a.sarif": SARIF, "a.SARIF.json": SARIF, "a.json": JSON, "a.xml": JUnit, "a.csv": CSV, "a.html": HTML, "a.txt": Text, "a": JSON} {
		if got := FormatOf(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
