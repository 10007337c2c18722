package cli

import (
	"fmt"
	"time"

	"github.com/cofferhq/coffer/internal/drill"
)

// printPlan says what is going to happen. With -format=json that goes to the
// standard error, as the question does.
func (d *drilled) printPlan(p *drill.Plan, o drill.Options) {
	rows := [][]string{{"Stolen", "Kind", "Tried at", "What ends it"}}
	for _, c := range p.Credentials {
		rows = append(rows, []string{c.Name, c.Kind, c.Where, d.end(c, o)})
	}
	out := d.call.Stdout
	if !d.call.table() {
		out = d.call.Stderr
	}
	if len(p.Credentials) > 0 {
		fmt.Fprint(out, layout(rows))
	}
	for _, u := range p.Untried {
		fmt.Fprintf(out, "Not tried: %s: %s.\n", u.Name, u.Why)
	}
	seen := map[string]bool{}
	for _, c := range p.Credentials {
		if c.Note != "" && !seen[c.Note] {
			seen[c.Note] = true
			fmt.Fprintf(out, "Note: %s.\n", c.Note)
		}
	}
	fmt.Fprintf(out, "Each is tried once every %v, %d times at most, for %v at most.\n\n", o.Every, o.MaxTries, o.Budget)
}

// end says what is going to end a credential.
func (d *drilled) end(c *drill.Credential, o drill.Options) string {
	switch rotation := d.rotations[c.Name]; {
	case rotation != "" && o.Rotate != nil:
		return "rotation " + rotation
	case c.Revoke != nil && o.Revoke:
		return "is revoked"
	case c.Revoke != nil:
		return "its own end (-revoke would)"
	}
	return "nothing that is known"
}

// drillAnswer is what -format=json prints.
type drillAnswer struct {
	InTime  bool            `json:"in_time"`
	Budget  float64         `json:"budget_seconds"`
	Took    float64         `json:"took_seconds"`
	Results []drillResult   `json:"results"`
	Untried []drill.Untried `json:"untried"`
}

type drillResult struct {
	Name     string   `json:"name"`
	Kind     string   `json:"kind"`
	Where    string   `json:"where"`
	State    string   `json:"state"`
	After    *float64 `json:"useless_after_seconds"` // null: it is not
	Tries    int      `json:"tries"`
	Problem  string   `json:"problem,omitempty"`
	Rotation string   `json:"rotation,omitempty"`
}

func (d *drilled) printReport(r drill.Report) {
	rows := [][]string{{"Stolen", "Kind", "State", "Useless after", "Attempts", "Remark"}}
	for _, result := range r.Results {
		after := ""
		if result.State == drill.Useless {
			after = rounded(result.After)
		}
		rows = append(rows, []string{
			result.Credential.Name, result.Credential.Kind, string(result.State), after, fmt.Sprint(result.Tries), result.Text,
		})
	}
	if len(rows) > 1 && d.call.table() {
		fmt.Fprint(d.call.Stdout, layout(rows))
	}
}

func rounded(d time.Duration) string { return d.Round(time.Millisecond).String() }

// finish prints the report and judges it.
func (d *drilled) finish(r drill.Report, budget time.Duration) error {
	c := d.call
	if !c.table() {
		if err := c.PrintValue(d.answer(r, budget)); err != nil || r.InTime {
			return err
		}
		return silently(exitLocal)
	}
	d.printReport(r)
	if r.InTime {
		c.Success("All that could be tried was useless after %s; the budget is %v.", rounded(r.Took), budget)
		return nil
	}
	left := 0
	for _, result := range r.Results {
		if result.State == drill.Works || result.State == drill.Unclear {
			left++
		}
	}
	return &failure{
		code: exitLocal, text: fmt.Sprintf("After %s, with a budget of %v, %s not known to be useless.", rounded(r.Took), budget, count(left, "credential is", "credentials are")),
		hint: "Give what lives on a rotation, or a shorter life.",
	}
}

func (d *drilled) answer(r drill.Report, budget time.Duration) drillAnswer {
	answer := drillAnswer{
		InTime: r.InTime, Budget: budget.Seconds(), Took: r.Took.Seconds(), Results: []drillResult{}, Untried: append([]drill.Untried{}, r.Untried...),
	}
	for _, result := range r.Results {
		one := drillResult{
			Name: result.Credential.Name, Kind: result.Credential.Kind, Where: result.Credential.Where, State: string(result.State),
			Tries: result.Tries, Problem: result.Text, Rotation: d.rotations[result.Credential.Name],
		}
		if result.State == drill.Useless {
			seconds := result.After.Seconds()
			one.After = &seconds
		}
		answer.Results = append(answer.Results, one)
	}
	return answer
}
