package cli

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/config"
	"github.com/cofferhq/coffer/redact"
)

func TestTheLevelOfTheLogChangesWhileTheServerRuns(t *testing.T) {
	var errs bytes.Buffer
	c := &Call{System: System{Stderr: &errs, Getenv: func(string) string { return "" }}}
	f := newFlags()
	o := declareServer(f)
	if err := f.parse([]string{"-log-level=warn"}); err != nil {
		t.Fatal(err)
	}
	level, err := o.level(c, &config.Log{})
	if err != nil {
		t.Fatal(err)
	}
	log, _, err := o.logger(c, &config.Log{}, level, redact.New())
	if err != nil {
		t.Fatal(err)
	}
	log.Info("first")
	level.Set(slog.LevelInfo)
	log.Info("second")
	if got := errs.String(); strings.Contains(got, "first") || !strings.Contains(got, "second") {
		t.Errorf("%s", got)
	}
}
