package sys

import (
	"context"
	"sync"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/uuid"
)

// moveLog remembers the last remounts for those who ask how one went.
type moveLog struct {
	mu    sync.Mutex // guards the field below
	moves []move     // the newest last
}

type move struct{ id, from, to string }

// rememberedMoves bounds the log.
const rememberedMoves = 100

func (l *moveLog) add(m move) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.moves) == rememberedMoves {
		l.moves = l.moves[1:]
	}
	l.moves = append(l.moves, m)
}

func (l *moveLog) find(id string) (move, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.moves {
		if m.id == id {
			return m, true
		}
	}
	return move{}, false
}

func (s *system) remount(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	m := move{id: uuid.New(), from: r.Text("from"), to: r.Text("to")}
	if m.from == "" || m.to == "" {
		return nil, logical.Invalid("both 'from' and 'to' path must be specified as a string")
	}
	if err := s.House.Move(ctx, m.from, m.to); err != nil {
		return nil, err
	}
	s.moves.add(m)
	return &logical.Response{Data: object{"migration_id": m.id}}, nil
}

func (s *system) remountStatus(_ context.Context, r *logical.Request) (*logical.Response, error) {
	m, ok := s.moves.find(r.Text("id"))
	if !ok {
		return nil, logical.ErrNotFound
	}
	return &logical.Response{Data: object{
		"migration_id":   m.id,
		"migration_info": object{"source_mount": m.from, "target_mount": m.to, "status": "success"},
	}}, nil
}
