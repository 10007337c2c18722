package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/scan"
	"github.com/cofferhq/coffer/scan/rules"
)

// The parts of SARIF 2.1.0 that we write. Names are those of its schema.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		ColumnKind  string            `json:"columnKind"`
		Results     []sarifResult     `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name            string      `json:"name"`
		Version         string      `json:"version,omitempty"`
		SemanticVersion string      `json:"semanticVersion,omitempty"`
		Rules           []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string         `json:"id"`
		ShortDescription sarifText      `json:"shortDescription"`
		Configuration    sarifLevel     `json:"defaultConfiguration"`
		Properties       map[string]any `json:"properties"`
	}
	sarifLevel struct {
		Level string `json:"level"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifInvocation struct {
		Successful    bool                `json:"executionSuccessful"`
		Notifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
		Rank         float64           `json:"rank"`
		Properties   map[string]any    `json:"properties,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI    string `json:"uri"`
		BaseID string `json:"uriBaseId,omitempty"`
	}
	sarifRegion struct {
		StartLine   int        `json:"startLine"`
		StartColumn int        `json:"startColumn"`
		EndLine     int        `json:"endLine"`
		EndColumn   int        `json:"endColumn"`
		Snippet     *sarifText `json:"snippet,omitempty"`
	}
)

func (r *Report) sarif() sarifLog {
	run := sarifRun{
		Tool:        sarifTool{sarifDriver{Name: "coffer", Version: r.Version, SemanticVersion: r.Version, Rules: []sarifRule{}}},
		ColumnKind:  "unicodeCodePoints",
		Results:     []sarifResult{},
		Invocations: []sarifInvocation{{Successful: len(r.Skipped) == 0}},
	}
	for _, s := range r.Skipped {
		run.Invocations[0].Notifications = append(run.Invocations[0].Notifications, sarifNotification{
			Level: "error", Message: sarifText{valid("Could not be read: " + s.Err.Error())},
			Locations: []sarifLocation{{sarifPhysical{Artifact: artifact(s.Path)}}},
		})
	}
	index := map[string]int{}
	for i := range r.Findings {
		f := &r.Findings[i]
		if _, known := index[f.RuleID]; !known {
			index[f.RuleID] = len(index)
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, r.sarifRule(f))
		}
		run.Results = append(run.Results, r.sarifResult(f, index[f.RuleID]))
	}
	return sarifLog{
		Schema:  "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json",
		Version: "2.1.0", Runs: []sarifRun{run},
	}
}

// sarifRule tells of the rule of a finding.
func (r *Report) sarifRule(f *scan.Finding) sarifRule {
	description := f.Description
	if i := slices.IndexFunc(r.Rules, func(rule rules.Rule) bool { return rule.ID == f.RuleID }); i >= 0 {
		description = cmp.Or(r.Rules[i].Description, description)
	}
	return sarifRule{
		ID: f.RuleID, ShortDescription: sarifText{valid(cmp.Or(description, f.RuleID))}, Configuration: sarifLevel{level(f.Severity)},
		Properties: map[string]any{
			"tags": append([]string{"security", "secret"}, r.Tags[f.RuleID]...), "security-severity": securitySeverity(f.Severity),
		},
	}
}

func (r *Report) sarifResult(f *scan.Finding, index int) sarifResult {
	text := valid(cmp.Or(f.Description, f.RuleID)) + ": " + r.secret(f)
	if len(f.Reasons) > 0 {
		text += ". Why: " + valid(strings.Join(f.Reasons, "; ")) + "."
	}
	region := sarifRegion{StartLine: f.Start.Line, StartColumn: f.Start.Column, EndLine: f.End.Line, EndColumn: max(1, f.End.Column), Snippet: &sarifText{r.match(f)}}
	if region.EndLine == region.StartLine {
		region.EndColumn = max(region.EndColumn, region.StartColumn+1)
	}
	out := sarifResult{
		RuleID: f.RuleID, RuleIndex: index, Level: level(f.Severity), Message: sarifText{text},
		Locations:    []sarifLocation{{sarifPhysical{Artifact: artifact(f.Path), Region: &region}}},
		Fingerprints: map[string]string{"cofferFinding/v1": partialFingerprint(f)},
		Rank:         100 * f.Confidence,
	}
	if c := f.Commit; c != nil {
		out.Properties = map[string]any{"commit": c.ID, "author": valid(c.Author), "date": c.Time}
	}
	return out
}

// partialFingerprint stays the same when lines are added above. It is made without
// the secret, which could be tried out otherwise.
func partialFingerprint(f *scan.Finding) string {
	h := sha256.New()
	for _, part := range []string{f.RuleID, f.Path, f.Name, f.Secret.Mask()} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// artifact is a file as a URI: relative ones are below the root of the source.
func artifact(file string) sarifArtifact {
	if path.IsAbs(file) {
		return sarifArtifact{URI: (&url.URL{Scheme: "file", Path: file}).String()}
	}
	return sarifArtifact{URI: strings.TrimPrefix((&url.URL{Path: path.Clean(file)}).String(), "./"), BaseID: "%SRCROOT%"}
}

func level(s rules.Severity) string {
	switch s {
	case rules.High, rules.Critical:
		return "error"
	case rules.Low:
		return "note"
	}
	return "warning"
}

// securitySeverity is the number that code hosts sort by.
func securitySeverity(s rules.Severity) string {
	switch s {
	case rules.Critical:
		return "9.5"
	case rules.High:
		return "8.0"
	case rules.Low:
		return "3.0"
	}
	return "5.5"
}
