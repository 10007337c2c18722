package metrics_test

import (
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/metrics"
)

func TestAHeldQueueIsShown(t *testing.T) {
	held := false
	m := metrics.New(func() bool { return false })
	m.ShowDue(func() bool { return held })
	for _, test := range []struct {
		held bool
		want string
	}{{false, "coffer_due_held 0\n"}, {true, "coffer_due_held 1\n"}} {
		held = test.held
		_, text, err := m.Render("prometheus")
		if err != nil || !strings.Contains(string(text), test.want) {
			t.Errorf("held %t: %v, without %q", test.held, err, test.want)
		}
	}
}
