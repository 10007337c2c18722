package drill

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// script is a credential whose attempts go as told; the last answer stays.
func script(name string, control error, answers ...error) *Credential {
	n := 0
	return &Credential{
		Name: name,
		Try: func(context.Context) error {
			answer := answers[min(n, len(answers)-1)]
			n++
			return answer
		},
		Control: func(context.Context) error { return control },
	}
}

var (
	errNo   = fmt.Errorf("%w: wrong password", ErrRefused)
	errDown = errors.New("no route to host")
)

func TestOnlyARefusalWhileTheNewOneWorksCounts(t *testing.T) {
	tests := []struct {
		name       string
		credential *Credential
		state      State
		after      time.Duration
		tries      int
		inTime     bool
	}{
		{"refused at once", script("c", nil, nil, errNo), Useless, 0, 2, true},
		{"refused in the third round", script("c", nil, nil, nil, nil, errNo), Useless, 20 * time.Second, 4, true},
		{"never refused", script("c", nil, nil), Works, 0, 8, false},
		{"an outage is no refusal", script("c", nil, nil, errDown), Unclear, 0, 8, false},
		{"an outage, and then a refusal", script("c", nil, nil, errDown, errNo), Useless, 10 * time.Second, 3, true},
		{"refused, and the application has no other", script("c", ErrSame, nil, errNo), Unclear, 0, 8, false},
		{"not replaced, and it works", script("c", ErrSame, nil), Works, 0, 8, false},
		{"the one of now is refused, too", script("c", errNo, nil, errNo), Unclear, 0, 1, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &Plan{Credentials: []*Credential{test.credential}}
				report, err := p.Run(t.Context(), Options{Budget: time.Minute, Every: 10 * time.Second, MaxTries: 100})
				if err != nil {
					t.Fatal(err)
				}
				got := report.Results[0]
				if got.State != test.state || got.After != test.after || got.Tries != test.tries || report.InTime != test.inTime {
					t.Errorf("%+v, in time: %v", got, report.InTime)
				}
				if !report.InTime && report.Took != time.Minute || report.InTime && report.Took != test.after {
					t.Errorf("took %v", report.Took)
				}
			})
		})
	}
}

func TestAttemptsAreCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Plan{Credentials: []*Credential{script("c", nil, nil)}}
		report, err := p.Run(t.Context(), Options{Budget: time.Hour, Every: time.Second, MaxTries: 3})
		if err != nil || report.Results[0].Tries != 3 || report.InTime || report.Took != time.Second {
			t.Errorf("%+v %v", report, err)
		}
	})
}

func TestWhatDidNotWorkBeforeShowsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rotated := false
		o := Options{Budget: time.Minute, Every: time.Second, MaxTries: 9, Rotate: func(context.Context) error { rotated = true; return nil }}
		p := &Plan{Credentials: []*Credential{script("dead", nil, errNo)}, Untried: []Untried{{"x", "y"}}}
		report, err := p.Run(t.Context(), o)
		if !errors.Is(err, ErrNothing) || rotated || report.Results[0].State != Dead {
			t.Errorf("%+v %v, rotated: %v", report, err, rotated)
		}
		p.Credentials = append(p.Credentials, script("alive", nil, nil, errNo))
		if report, err = p.Run(t.Context(), o); err != nil || !rotated || !report.InTime || len(report.Untried) != 1 {
			t.Errorf("%+v %v, rotated: %v", report, err, rotated)
		}
	})
}

func TestWhatCanBeRevokedIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := error(nil)
		c := &Credential{
			Name: "c", Try: func(context.Context) error { return answer }, Control: func(context.Context) error { return nil },
			Revoke: func(context.Context) error { answer = errNo; return nil },
		}
		failing := script("f", nil, nil, errNo)
		failing.Revoke = func(context.Context) error { return errDown }
		told := ""
		report, err := (&Plan{Credentials: []*Credential{c, failing}}).Run(t.Context(), Options{
			Budget: time.Minute, Every: time.Second, MaxTries: 9, Revoke: true,
			Progress: func(text string) { told += text + "\n" },
		})
		if err != nil || !report.InTime || !strings.Contains(told, "f could not be revoked: no route to host") {
			t.Errorf("%+v %v\n%s", report, err, told)
		}
	})
}

func TestADrillEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := (&Plan{Credentials: []*Credential{script("c", nil, nil)}}).Run(ctx, Options{Budget: time.Hour, Every: time.Second, MaxTries: 1000})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}
