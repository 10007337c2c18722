package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// ErrNoEvents says that the server has no events to subscribe to: a Vault without
// them. Poll instead.
var ErrNoEvents = errors.New("the server has no events to subscribe to")

// ErrEventsMissed says that events may have been missed, which can't be had any
// more: read afresh what they were about.
var ErrEventsMissed = errors.New("events may have been missed")

// Event is something that happened on the server.
type Event struct {
	ID   string
	Type string // "kv-v2/data-write"
	Time time.Time

	// Path is where the effect can be read, "secret/data/db", or else where it
	// happened; it has no namespace.
	Path      string
	Operation string // "data-write"
	Namespace string
	Mount     string // path of the mount: "secret/"
	Plugin    string // type of the mount: "kv"
	Metadata  map[string]string

	// Revision is the server's when it happened, as X-Vault-Index has it; zero if
	// the server does not say.
	Revision uint64

	Raw json.RawMessage // as it came
}

// EventOptions say which events are wanted.
type EventOptions struct {
	Namespaces []string // more namespaces, below the client's; a star is any text
	Filter     string   // expression that events must fulfil; empty: any do
	Since      uint64   // revision after which to begin; zero: now

	// Connected, if not nil, is told each time a connection stands, with the
	// revision after which its events begin: what was read before may be older,
	// what is read from now on is not. The revision is zero if the server does not
	// say.
	Connected func(since uint64)

	// Disconnected, if not nil, is told each time that a connection which stood is
	// gone: until there is another one, events come late.
	Disconnected func()

	// Progress, if not nil, is told now and then of a revision up to which there
	// have been no other events. A server may not tell.
	Progress func(revision uint64)
}

// FilterPaths returns the filter of events about any of the paths, each with its
// mount and the API's infix: "secret/data/db". No paths: every event.
func FilterPaths(paths ...string) string {
	terms := make([]string, len(paths))
	for i, p := range paths {
		quoted := strconv.Quote(p)
		// The language unescapes as Go does, but ends a text at the first quote.
		terms[i] = `data_path == "` + strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `\x22`) + `"`
	}
	return strings.Join(terms, " or ")
}

// Events returns the events of a type, in which a star is any text, as they
// happen. When the connection breaks it makes another and goes on where the last
// one ended: every event comes once, if the server can resume, as coffer can.
//
// The sequence goes on after [ErrEventsMissed]. Every other error is its last:
// [ErrNoEvents], an [*Error] if the server refuses, or that of ctx. It waits for a
// server that is away, with pauses that grow.
func (c *Client) Events(ctx context.Context, types string, o EventOptions) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		s := &eventStream{client: c, types: types, options: o, next: o.Since, resuming: o.Since > 0}
		for {
			err := s.once(ctx, yield)
			switch {
			case s.stopped:
				return
			case ctx.Err() != nil:
				err = ctx.Err()
			case errors.Is(err, errBroken):
				if s.missed() && !yield(Event{}, ErrEventsMissed) {
					return
				}
				if wait(ctx, pause(s.failures, nil)) == nil {
					s.failures++
					continue
				}
				<-ctx.Done() // which would have ended while we waited
				err = ctx.Err()
			}
			yield(Event{}, err)
			return
		}
	}
}

// errBroken says that the connection is gone, and another one may do.
var errBroken = errors.New("connection for events broken")

// statusForgotten is the code with which coffer closes a stream that can't go on
// where it should.
const statusForgotten websocket.StatusCode = 4410

// eventStream is one call of Events.
type eventStream struct {
	client  *Client
	types   string
	options EventOptions

	next     uint64              // revision to go on after; events of it may come again
	last     uint64              // revision of the newest event
	ids      map[string]struct{} // of the events of revision last
	resuming bool                // next means something
	open     bool                // a connection has stood since missed was asked
	lost     bool                // the server has forgotten where to go on
	failures int                 // since something came
	stopped  bool                // the caller has had enough
}

// missed says whether events may have been missed with the connection that is
// gone, and forgets it.
func (s *eventStream) missed() bool {
	missed := s.lost || s.open && !s.resuming
	if s.lost {
		s.next, s.last, s.ids, s.resuming = 0, 0, nil, false
	}
	s.lost, s.open = false, false
	return missed
}

// once makes one connection and yields what comes over it.
func (s *eventStream) once(ctx context.Context, yield func(Event, error) bool) error {
	conn, header, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxEventBytes)
	begun, err := strconv.ParseUint(header.Get("X-Vault-Index"), 10, 64)
	if s.resuming = err == nil; s.resuming && s.next == 0 {
		s.next = begun
	}
	s.open = true
	if s.options.Connected != nil {
		s.options.Connected(begun)
	}
	if s.options.Disconnected != nil {
		defer s.options.Disconnected()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go keepAlive(ctx, cancel, conn)
	for {
		_, text, err := conn.Read(ctx)
		if err != nil {
			s.lost = websocket.CloseStatus(err) == statusForgotten
			return errBroken
		}
		e, err := ParseEvent(text)
		if err != nil {
			return errBroken
		}
		s.failures = 0
		if !s.take(e, yield) {
			s.stopped = true
			conn.Close(websocket.StatusNormalClosure, "")
			return nil
		}
	}
}

// maxEventBytes is how long an event may be.
const maxEventBytes = 1 << 20

// keepAliveTime is how often a connection has to show that it is alive, and how
// long it may take.
const keepAliveTime = 20 * time.Second

// keepAlive cancels when the other side is gone without a word.
func keepAlive(ctx context.Context, cancel context.CancelFunc, conn *websocket.Conn) {
	tick := time.NewTicker(keepAliveTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		bounded, done := context.WithTimeout(ctx, keepAliveTime)
		err := conn.Ping(bounded)
		done()
		if err != nil {
			cancel()
			return
		}
	}
}

// take yields an event that is new, and remembers where to go on.
func (s *eventStream) take(e Event, yield func(Event, error) bool) (more bool) {
	if e.Type == progressType {
		if e.Revision > s.next {
			s.next = e.Revision
		}
		if s.options.Progress != nil {
			s.options.Progress(e.Revision)
		}
		return true
	}
	if e.Revision > 0 {
		if e.Revision > s.last {
			s.last, s.ids = e.Revision, make(map[string]struct{}, 1)
			s.next = max(s.next, e.Revision-1) // there may be more of that revision
		}
		if _, again := s.ids[e.ID]; again {
			return true
		}
		s.ids[e.ID] = struct{}{}
	}
	return yield(e, nil)
}

// dial makes a connection. An error that is final is not errBroken.
func (s *eventStream) dial(ctx context.Context) (*websocket.Conn, http.Header, error) {
	path := "sys/events/subscribe/" + s.types
	query := url.Values{"json": {"true"}, "progress": {"true"}}
	for _, ns := range s.options.Namespaces {
		query.Add("namespaces", ns)
	}
	if s.options.Filter != "" {
		query.Set("filter", s.options.Filter)
	}
	if s.next > 0 {
		query.Set("since", strconv.FormatUint(s.next, 10))
	}
	u := s.client.URL(path, query)
	conn, a, err := s.client.upgrade(ctx, u)
	if err == nil && conn == nil && isRedirect(a) {
		next, err := redirected(u, a)
		if err != nil {
			return nil, nil, fmt.Errorf("GET %s: %w", path, err)
		}
		conn, a, err = s.client.upgrade(ctx, next)
		if err != nil {
			return nil, nil, errBroken
		}
	}
	switch {
	case err != nil:
		return nil, nil, errBroken
	case conn != nil:
		return conn, a.Header, nil
	}
	return nil, nil, s.refusal(a, path)
}

// refusal is what an answer means that is no upgrade.
func (s *eventStream) refusal(a *Answer, path string) error {
	switch a.Status {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusUpgradeRequired, http.StatusOK:
		return fmt.Errorf("%w: %w", ErrNoEvents, Refusal(a, http.MethodGet, path))
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		return Refusal(a, http.MethodGet, path)
	}
	return errBroken // of which the server may recover
}

// upgrade asks for a WebSocket. It returns the connection, if there is one, and
// the answer.
func (c *Client) upgrade(ctx context.Context, u *url.URL) (*websocket.Conn, *Answer, error) {
	ctx, cancel := c.wire.timeout.bound(ctx)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{HTTPClient: c.wire.upgrades, HTTPHeader: c.Header()})
	if resp == nil {
		return nil, nil, err
	}
	a := &Answer{Status: resp.StatusCode, Header: resp.Header}
	if err == nil {
		return conn, a, nil
	}
	// The body is the first KiB of what the server said.
	if a.Body, err = io.ReadAll(resp.Body); err != nil {
		a.Body = nil
	}
	return nil, a, nil
}

// progressType is the type of the messages that tell how far the stream is.
const progressType = "coffer/progress"

// ParseEvent reads an event as the server sends it in JSON.
func ParseEvent(text []byte) (Event, error) {
	var wire struct {
		ID   string    `json:"id"`
		Time time.Time `json:"time"`
		Data struct {
			Event struct {
				ID       string         `json:"id"`
				Metadata map[string]any `json:"metadata"`
			} `json:"event"`
			EventType  string `json:"event_type"`
			Namespace  string `json:"namespace"`
			PluginInfo struct {
				MountPath string `json:"mount_path"`
				Plugin    string `json:"plugin"`
			} `json:"plugin_info"`
		} `json:"data"`
	}
	if err := json.Unmarshal(text, &wire); err != nil || wire.Data.EventType == "" {
		return Event{}, errors.New("not an event")
	}
	d := &wire.Data
	e := Event{
		ID: wire.ID, Type: d.EventType, Time: wire.Time, Namespace: strings.Trim(d.Namespace, "/"),
		Mount: d.PluginInfo.MountPath, Plugin: d.PluginInfo.Plugin,
		Metadata: make(map[string]string, len(d.Event.Metadata)), Raw: text,
	}
	for name, value := range d.Event.Metadata {
		if s, ok := value.(string); ok {
			e.Metadata[name] = s
		} else if raw, err := json.Marshal(value); err == nil {
			e.Metadata[name] = string(raw)
		}
	}
	e.Operation = e.Metadata["operation"]
	if e.Path = e.Metadata["data_path"]; e.Path == "" {
		e.Path = e.Metadata["path"]
	}
	if n, err := strconv.ParseUint(e.Metadata["vault_index"], 10, 64); err == nil {
		e.Revision = n
	}
	return e, nil
}
