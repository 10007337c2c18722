package torture

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"sync"
	"testing"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

// audit is what must be in the audit file of one life of the server.
type audit struct {
	path  string
	lines int // of all lives
	torn  int

	mu        sync.Mutex     // guards the fields below
	attempts  map[action]int // changes that were sent
	acked     map[action]int // changes that were acknowledged
	answerIDs map[string]bool
}

// action is what a line can be told by.
type action struct{ verb, path string }

func actionOf(r client.Request) action {
	switch r.Method {
	case http.MethodDelete:
		return action{"delete", r.Path}
	case http.MethodPatch:
		return action{"patch", r.Path}
	}
	return action{"write", r.Path}
}

// verbs are the audit's words.
var verbs = map[string]string{"create": "write", "update": "write", "patch": "patch", "delete": "delete"}

func (a *audit) attempt(r client.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.attempts == nil {
		a.attempts, a.acked, a.answerIDs = map[action]int{}, map[action]int{}, map[string]bool{}
	}
	a.attempts[actionOf(r)]++
}

func (a *audit) acknowledge(r client.Request, s *api.Secret) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.acked[actionOf(r)]++
	if s != nil && s.RequestID != "" {
		a.answerIDs[s.RequestID] = true
	}
}

type line struct {
	Type    string `json:"type"`
	Error   string `json:"error"`
	Request struct {
		ID        string `json:"id"`
		Operation string `json:"operation"`
		Path      string `json:"path"`
	} `json:"request"`
}

// check reads the file that a killed server has left, and begins a new one.
func (a *audit) check(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(a.path)
	if err != nil {
		t.Fatal(err)
	}
	asked, answered, succeeded := map[string]bool{}, map[string]bool{}, map[action]int{}
	for one := range bytes.Lines(text) {
		var l line
		if err := json.Unmarshal(one, &l); err != nil {
			if one[len(one)-1] == '\n' { // only what the kill cut short may be no line
				t.Errorf("audit: a line is damaged: %v", err)
			}
			a.torn++
			continue
		}
		a.lines++
		if l.Type == "request" {
			asked[l.Request.ID] = true
			continue
		}
		unasked := !asked[l.Request.ID] && l.Request.Path != auditPath // which began the file
		if unasked || answered[l.Request.ID] {
			t.Errorf("audit: answer without its request, or twice: %s %s", l.Request.Operation, l.Request.Path)
		}
		answered[l.Request.ID] = true
		if l.Error == "" {
			succeeded[action{verbs[l.Request.Operation], l.Request.Path}]++
		}
	}
	a.compare(t, answered, succeeded)
	if err := os.Remove(a.path); err != nil {
		t.Fatal(err)
	}
}

func (a *audit) compare(t *testing.T, answered map[string]bool, succeeded map[action]int) {
	t.Helper()
	for what, n := range a.attempts {
		if got := succeeded[what]; got < a.acked[what] || got > n {
			t.Errorf("audit: %s %s: %d sent, %d acknowledged, %d recorded", what.verb, what.path, n, a.acked[what], got)
		}
	}
	for id := range a.answerIDs {
		if !answered[id] {
			t.Errorf("audit: request %s was answered and is not on record", id)
		}
	}
	a.attempts, a.acked, a.answerIDs = nil, nil, nil
}
