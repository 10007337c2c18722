package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

type (
	junitSuites struct {
		XMLName  xml.Name   `xml:"testsuites"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Errors   int        `xml:"errors,attr"`
		Suite    junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string     `xml:"name,attr"`
		Class   string     `xml:"classname,attr"`
		File    string     `xml:"file,attr,omitempty"`
		Line    int        `xml:"line,attr,omitempty"`
		Failure *junitText `xml:"failure"`
		Error   *junitText `xml:"error"`
	}
	junitText struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// junit writes a failed test for each finding, an error for what was not read, and
// one test that passes if there is neither: many readers take no tests for a fault.
func (r *Report) junit(w io.Writer) error {
	s := junitSuite{Name: "coffer scan", Failures: len(r.Findings), Errors: len(r.Skipped)}
	for i := range r.Findings {
		f := &r.Findings[i]
		message := fmt.Sprintf("%s: %s", f.Description, r.secret(f))
		s.Cases = append(s.Cases, junitCase{
			Name: fingerprint(f), Class: f.RuleID, File: valid(f.Path), Line: f.Start.Line,
			Failure: &junitText{
				Message: valid(message), Type: f.Severity.String(),
				Text: valid(fmt.Sprintf("%s: %s\nconfidence %.2f: %s", place(f), message, f.Confidence, strings.Join(f.Reasons, "; "))),
			},
		})
	}
	for _, skipped := range r.Skipped {
		s.Cases = append(s.Cases, junitCase{
			Name: valid(skipped.Path), Class: "not-read", File: valid(skipped.Path),
			Error: &junitText{Message: "could not be read", Type: "error", Text: valid(skipped.Err.Error())},
		})
	}
	if len(s.Cases) == 0 {
		s.Cases = []junitCase{{Name: "no secrets", Class: "coffer-scan"}}
	}
	s.Tests = len(s.Cases)
	out, err := xml.MarshalIndent(junitSuites{Tests: s.Tests, Failures: s.Failures, Errors: s.Errors, Suite: s}, "", "  ")
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, xml.Header+string(out)+"\n")
	return err
}
