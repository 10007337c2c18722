package core

import (
	"testing"
	"time"
)

func TestWhichBatchTokensAreVoid(t *testing.T) {
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	v := voids{"auth/people": noon, "auth/apps/login/one": noon, "auth/token/create": noon}
	tests := []struct {
		name, path string
		made       time.Time
		want       bool
	}{
		{"made before, below the path", "auth/people/login/ann", noon.Add(-1), true},
		{"made at that moment", "auth/people/login/ann", noon, true},
		{"made later", "auth/people/login/ann", noon.Add(1), false},
		{"at a path that only begins alike", "auth/people2/login/ann", noon, false},
		{"at the very path", "auth/token/create", noon, true},
		{"at the very path with a slash", "auth/token/create/", noon, true},
		{"below the very path", "auth/token/create/role", noon, true},
		{"above the path", "auth/token", noon, false},
		{"beside the path", "auth/apps/login/two", noon, false},
		{"further down", "auth/apps/login/one/more", noon, true},
		{"nowhere", "", noon, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := v.cover(test.path, test.made); got != test.want {
				t.Errorf("%t", got)
			}
		})
	}
	if (voids{"auth": noon}).cover("auth/people/login/ann", noon) != true {
		t.Error("all of them is none of them")
	}
}
