package sys

import (
	"context"

	"github.com/cofferhq/coffer/internal/logical"
)

var dueRoutes = logical.Routes[*system]{
	{Op: logical.Read, Path: "coffer/due", Do: (*system).readDue, Help: "Tell what is due, and whether it is held back because the clock has jumped."},
	{Op: logical.Write, Path: "coffer/due/confirm", Do: (*system).confirmClock, Outside: true, Sudo: true, Help: "Say that the clock tells the right time: what is held back is done."},
}

func (s *system) readDue(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	status, err := s.House.DueStatus(ctx)
	if err != nil {
		return nil, err
	}
	total := 0
	for _, n := range status.Waiting {
		total += n
	}
	data := object{
		"time": r.Now, "waiting": total, "waiting_by_kind": status.Waiting, "oldest": timeOrNull(status.Oldest),
		"next": timeOrNull(status.Next), "held": status.Held, "hold": nil,
	}
	if h := status.Hold; h != nil {
		data["hold"] = object{"since": h.Since, "until": h.Until, "time_without_jump": h.Line, "why": h.Why}
	}
	return &logical.Response{Data: data}, nil
}

func (s *system) confirmClock(ctx context.Context, _ *logical.Request) (*logical.Response, error) {
	return nil, s.House.ConfirmClock(ctx)
}
