package logical_test

import (
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
)

func TestWhoKnowsAnAnswer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		known []string
		want  bool
	}{
		{"who says nothing does not", nil, false},
		{"who names it does", []string{"2.ab"}, true},
		{"who names it among others does", []string{"1.ab", "2.ab"}, true},
		{"who names another one does not", []string{"2.cd", "22.ab"}, false},
		{"any will do", []string{logical.AnyTag}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := logical.Request{Known: tt.known}
			if got := r.Knows("2.ab"); got != tt.want {
				t.Error(got)
			}
		})
	}
}
