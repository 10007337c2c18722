package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/consumer"
)

func TestTidy(t *testing.T) {
	l := newLedger(t)
	reader := func(name string) consumer.Reader { r := web; r.Token = name; return r }
	l.Saw(db, reader("dead"), 1, start)
	l.Saw(db, reader("alive"), 1, start)
	l.Saw(db, reader("left"), 1, start)
	l.flush()
	l.leave(db, reader("left"), start)
	now := start.Add(consumer.Kept + time.Hour)
	l.Saw(db, reader("died of late"), 1, now.Add(-time.Hour))
	for n := range 250 { // more than a commit takes, on another secret
		l.Saw(consumer.Secret{MountID: "m", Path: "other"}, reader(fmt.Sprint("dead ", n)), 1, start)
	}
	l.flush()
	err := l.Tidy(t.Context(), now, func(_ context.Context, c *consumer.Consumer) (bool, error) {
		return strings.HasPrefix(c.Token, "d"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, c := range l.of(db) {
		left = append(left, c.Token)
	}
	if diff := cmp.Diff([]string{"died of late", "alive"}, left); diff != "" {
		t.Error(diff)
	}
	if others := l.of(consumer.Secret{MountID: "m", Path: "other"}); len(others) > 0 {
		t.Errorf("%d are left", len(others))
	}
}

func TestTidyEndsWithAnError(t *testing.T) {
	l := newLedger(t)
	l.Saw(db, web, 1, start)
	l.flush()
	broken := errors.New("nobody knows")
	err := l.Tidy(t.Context(), start.Add(48*time.Hour), func(context.Context, *consumer.Consumer) (bool, error) { return false, broken })
	if !errors.Is(err, broken) || len(l.of(db)) != 1 {
		t.Errorf("error %v", err)
	}
}
