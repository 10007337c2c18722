package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/cofferhq/coffer/internal/core"
	"github.com/cofferhq/coffer/internal/event"
	"github.com/cofferhq/coffer/internal/logical"
)

const (
	eventsPrefix = "sys/events/subscribe/"

	// pingEvery is how often a quiet subscriber has to show that it is there, and
	// pongTime how long it may take.
	pingEvery = 30 * time.Second
	pongTime  = 30 * time.Second

	// progressEvery is how often a subscriber that wants to know is told how far
	// the stream has come, while there is nothing else to tell.
	progressEvery = 5 * time.Second

	// sendTime is how long a subscriber may take for a batch of events.
	sendTime = 30 * time.Second

	// statusForgotten is the code of a close, of the range for applications, that
	// says that events were missed which can't be had any more.
	statusForgotten websocket.StatusCode = 4410
)

// closings maps why a stream ends to the code that the client gets. All else is
// internal.
var closings = []struct {
	why  error
	code websocket.StatusCode
}{
	{event.ErrStopping, websocket.StatusGoingAway},
	{logical.ErrSealed, websocket.StatusGoingAway},
	{event.ErrSlow, websocket.StatusTryAgainLater},
	{event.ErrToken, websocket.StatusPolicyViolation},
	{event.ErrPolicy, websocket.StatusPolicyViolation},
	{event.ErrForgotten, statusForgotten},
}

// wantsEvents says whether a request is one for a stream of events.
func wantsEvents(r *http.Request, path string) bool {
	return r.Method == http.MethodGet && strings.HasPrefix(path, eventsPrefix) &&
		headerHas(r.Header, "Connection", "upgrade") && headerHas(r.Header, "Upgrade", "websocket")
}

// headerHas says whether a list in a header has the token.
func headerHas(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for one := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(one), token) {
				return true
			}
		}
	}
	return false
}

// subscribe serves events until one side has enough.
func (h *Handler) subscribe(w http.ResponseWriter, r *http.Request, path string) {
	start := time.Now()
	call, err := h.call(r, path)
	if err != nil {
		h.fail(w, r, call.ID, err)
		h.observe(call, "", status(err), start)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.MaxDuration)
	s, err := h.Core.Subscribe(ctx, call)
	cancel()
	if call.Standing != nil {
		tellStanding(w.Header(), call.Standing)
	}
	if err != nil {
		h.fail(w, r, call.ID, err)
		h.observe(call, "", status(err), start)
		return
	}
	defer s.Close()
	delete(w.Header(), "Content-Type")
	w.Header()["X-Vault-Index"] = []string{strconv.FormatUint(uint64(s.Start()), 10)}
	batch := &batching{ResponseWriter: w}
	conn, err := websocket.Accept(batch, r, nil)
	if err != nil { // the client knows: Accept has answered
		h.observe(call, "system", http.StatusBadRequest, start)
		return
	}
	h.observe(call, "system", http.StatusSwitchingProtocols, start)
	sender := &sender{conn: conn, stream: s, batch: batch.conn}
	sender.finish(sender.run(r.Context()))
}

// sender sends a stream's events over a connection.
type sender struct {
	conn   *websocket.Conn
	stream *core.Stream
	batch  *batchConn
}

// run sends until the stream ends or the client has gone. It returns why.
func (s *sender) run(ctx context.Context) error {
	ctx = s.conn.CloseRead(ctx) // ends when the client closes, or says anything
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go s.keepAlive(ctx, cancel)
	progress := time.NewTicker(progressEvery)
	defer progress.Stop()
	if err := s.tellProgress(ctx); err != nil {
		return err
	}
	for {
		var err error
		select {
		case <-s.stream.Ready():
			err = s.send(ctx)
		case <-progress.C:
			err = s.tellProgress(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// send sends all events that wait, in one piece where they fit one.
func (s *sender) send(ctx context.Context) error {
	all, _, err := s.stream.Take()
	if err != nil {
		return err
	}
	return s.write(ctx, all)
}

func (s *sender) write(ctx context.Context, all []*event.Message) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	s.batch.hold()
	for _, m := range all {
		kind, text := websocket.MessageBinary, m.Proto
		if s.stream.JSON {
			kind, text = websocket.MessageText, m.JSON
		}
		if err := s.conn.Write(ctx, kind, text()); err != nil {
			return err
		}
	}
	return s.batch.release()
}

// tellProgress sends what waits, and how far that is, to a subscriber that wants
// to know.
func (s *sender) tellProgress(ctx context.Context) error {
	if !s.stream.Progress {
		return nil
	}
	all, reached, err := s.stream.Take()
	if err != nil {
		return err
	}
	return s.write(ctx, append(all, s.stream.Subscription.Progress(reached)))
}

// keepAlive cancels when the client is gone without a word.
func (s *sender) keepAlive(ctx context.Context, cancel context.CancelFunc) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		bounded, done := context.WithTimeout(ctx, pongTime)
		err := s.conn.Ping(bounded)
		done()
		if err != nil {
			cancel()
			return
		}
	}
}

// finish says goodbye. The stream is closed first where nothing can be said any
// more, and else when the word is out: the client may take its time to answer.
func (s *sender) finish(why error) {
	defer s.conn.CloseNow()
	for _, c := range closings {
		if errors.Is(why, c.why) {
			s.batch.release()
			s.batch.onWrite(func() { s.stream.Close() })
			s.conn.Close(c.code, c.why.Error())
			return
		}
	}
}
