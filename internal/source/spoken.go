package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

// A Spoken source is one that other people write, as a program or a web service:
// it is asked in JSON, and answers so. docs/rotation.md has the protocol.
type Spoken struct {
	// Made are the names of the values that the other side makes.
	Made []string
	// Settings are passed on as they are.
	Settings json.RawMessage
	// Ask sends a question and returns the answer. Its errors hold neither.
	Ask func(ctx context.Context, question []byte) (answer []byte, err error)
}

var _ Source = (*Spoken)(nil)

// SpokenVersion is the version of the protocol.
const SpokenVersion = 1

// question is what the other side is asked.
type question struct {
	Version     int             `json:"version"`
	Action      string          `json:"action"` // create, set, test, retire or sessions
	Attempt     string          `json:"attempt,omitempty"`
	Rotation    string          `json:"rotation,omitempty"`
	Number      int             `json:"number,omitempty"`
	Settings    json.RawMessage `json:"settings,omitempty"`
	Candidate   map[string]text `json:"candidate,omitempty"`
	Predecessor map[string]text `json:"predecessor,omitempty"`
	Values      map[string]text `json:"values,omitempty"` // for test and sessions
}

// reply is what it says.
type reply struct {
	Result   string          `json:"result"` // ok, refused or unsupported
	Values   map[string]text `json:"values"`
	Sessions *int            `json:"sessions"`
	Error    string          `json:"error"` // for people; nothing secret
}

// text is a value on its way out or in.
type text secret.Bytes

func (t text) MarshalJSON() ([]byte, error) { return json.Marshal(secret.Bytes(t).RevealText()) }

func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return errors.New("source: a value is not a text")
	}
	*t = text(secret.Text(s))
	return nil
}

func spell(v Values) map[string]text {
	m := make(map[string]text, len(v))
	for name, value := range v {
		m[name] = text(value)
	}
	return m
}

func (a Attempt) question(action string) question {
	return question{
		Action: action, Attempt: a.ID, Rotation: a.Rotation, Number: a.Number,
		Candidate: spell(a.Candidate), Predecessor: spell(a.Predecessor),
	}
}

// errUnsupported says that the other side does not do what it was asked.
var errUnsupported = logical.Errorf(logical.ErrUpstream, "the source does not support that")

// maxSaid bounds what is shown of the other side's own error, in bytes.
const maxSaid = 200

func (s *Spoken) ask(ctx context.Context, q question) (*reply, error) {
	q.Version, q.Settings = SpokenVersion, s.Settings
	sent, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	got, err := s.Ask(ctx, sent)
	if err != nil {
		return nil, err
	}
	var r reply
	if json.Unmarshal(bytes.TrimSpace(got), &r) != nil {
		return nil, logical.Errorf(logical.ErrUpstream, "the source answered %s with something else than the JSON object that is expected", q.Action)
	}
	switch r.Result {
	case "ok":
		return &r, nil
	case "refused":
		return nil, &logical.Error{Kind: logical.ErrUpstream, Text: "the source refused to " + q.Action, Err: ErrRefused}
	case "unsupported":
		return nil, errUnsupported
	}
	said := ""
	if r.Error != "" && !q.holds(r.Error) {
		said = ": " + r.Error[:min(len(r.Error), maxSaid)]
	}
	return nil, logical.Errorf(logical.ErrUpstream, "the source failed to %s%s", q.Action, said)
}

// holds says whether a text has one of the question's secrets in it.
func (q *question) holds(said string) bool {
	for _, values := range []map[string]text{q.Candidate, q.Predecessor, q.Values} {
		for _, v := range values {
			if value := secret.Bytes(v).Reveal(); len(value) > 0 && bytes.Contains([]byte(said), value) {
				return true
			}
		}
	}
	return false
}

// Fields implements [Source].
func (s *Spoken) Fields() []string { return s.Made }

// Create implements [Source].
func (s *Spoken) Create(ctx context.Context, a Attempt) (Values, error) {
	r, err := s.ask(ctx, a.question("create"))
	if err != nil {
		return nil, err
	}
	made := Values{}
	for _, name := range s.Made {
		value := secret.Bytes(r.Values[name])
		if value.Empty() {
			return nil, logical.Errorf(logical.ErrUpstream, "the source created no %q", name)
		}
		made[name] = value
	}
	return made, nil
}

// Set implements [Source].
func (s *Spoken) Set(ctx context.Context, a Attempt) error { return s.do(ctx, a, "set") }

// Retire implements [Source].
func (s *Spoken) Retire(ctx context.Context, a Attempt) error { return s.do(ctx, a, "retire") }

func (s *Spoken) do(ctx context.Context, a Attempt, action string) error {
	_, err := s.ask(ctx, a.question(action))
	if errors.Is(err, errUnsupported) {
		return nil // there is nothing to do
	}
	return err
}

// Test implements [Source].
func (s *Spoken) Test(ctx context.Context, v Values) error {
	_, err := s.ask(ctx, question{Action: "test", Values: spell(v)})
	if errors.Is(err, errUnsupported) {
		return ErrNoLogin
	}
	return err
}

// Sessions implements [Source].
func (s *Spoken) Sessions(ctx context.Context, v Values) (int, error) {
	r, err := s.ask(ctx, question{Action: "sessions", Values: spell(v)})
	if errors.Is(err, errUnsupported) || err == nil && r.Sessions == nil {
		return 0, ErrNoSessions
	}
	if err != nil {
		return 0, err
	}
	return *r.Sessions, nil
}

// Close implements [Source].
func (s *Spoken) Close() error { return nil }

// SpokenConfig is what the configurations of spoken sources have in common.
type SpokenConfig struct {
	Fields   []string        `json:"fields"`   // names of the values that are made; "value" if empty
	Settings json.RawMessage `json:"settings"` // passed on
}

// Source returns a spoken source that asks by ask.
func (c SpokenConfig) Source(ask func(ctx context.Context, question []byte) ([]byte, error)) (*Spoken, error) {
	if len(c.Fields) == 0 {
		c.Fields = []string{"value"}
	}
	if slices.Contains(c.Fields, "") {
		return nil, logical.Invalid("config: fields: a value needs a name")
	}
	return &Spoken{Made: c.Fields, Settings: c.Settings, Ask: ask}, nil
}
