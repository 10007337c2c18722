package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// trail reads an audit file as it grows.
type trail struct {
	path string // empty: nothing is recorded yet
	read int64  // bytes that were shown
}

// record is what is shown of an audit line.
type record struct {
	Time time.Time `json:"time"`
	Type string    `json:"type"`
	Auth struct {
		DisplayName string `json:"display_name"`
	} `json:"auth"`
	Request struct {
		Operation string `json:"operation"`
		Path      string `json:"path"`
	} `json:"request"`
	Error string `json:"error"`
}

// next returns the answers that were recorded since the last call, a line each.
func (t *trail) next() ([]string, error) {
	if t.path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(t.path)
	if err != nil {
		return nil, err
	}
	fresh := text[t.read:]
	fresh = fresh[:bytes.LastIndexByte(fresh, '\n')+1]
	t.read += int64(len(fresh))
	var lines []string
	for line := range bytes.Lines(fresh) {
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("audit line: %w", err)
		}
		if r.Type == "response" {
			lines = append(lines, r.String())
		}
	}
	return lines, nil
}

// String is when, who, what, and how it ended.
func (r record) String() string {
	who, outcome := r.Auth.DisplayName, "ok"
	if who == "" {
		who = "nobody"
	}
	if r.Error != "" {
		outcome = "REFUSED: " + r.Error
	}
	return fmt.Sprintf("%s  %-8s %-6s %-44s %s", r.Time.Format("15:04:05.000"), who, r.Request.Operation, r.Request.Path, outcome)
}
