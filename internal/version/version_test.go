package version

import (
	"strings"
	"testing"
	"time"
)

func TestFullBeginsWithTheAPIsVersion(t *testing.T) {
	api, ours, _ := strings.Cut(Full(), "+coffer.")
	if api != API || ours != Coffer {
		t.Errorf("Full() = %q", Full())
	}
}

func TestTheBuildDateIsATimeIfItIsKnown(t *testing.T) {
	if d := BuildDate(); d != "" {
		if _, err := time.Parse(time.RFC3339, d); err != nil {
			t.Error(err)
		}
	}
}
