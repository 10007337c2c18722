package secrets

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/coder/websocket"
)

// happening is an event of a fake.
type happening struct {
	revision    uint64
	version     int
	types, path string
}

// watcher is one subscription to a fake.
type watcher struct {
	filter string
	queue  chan happening
	end    context.CancelFunc
	gone   atomic.Bool
}

// happen adds an event, and tells who wants it. The fake is locked.
func (f *fake) happen(types, path string) {
	f.revision++
	e := happening{f.revision, len(f.secrets[strings.TrimPrefix(path, "secret/data/")]), types, path}
	f.log = append(f.log, e)
	for w := range f.watchers {
		w.tell(e)
	}
}

func (w *watcher) tell(e happening) {
	if strings.Contains(w.filter, strconv.Quote(e.path)) || strings.Contains(w.filter, strconv.Quote(e.types)) {
		w.queue <- e
	}
}

// cut breaks all subscriptions.
func (f *fake) cut() {
	f.change(func() {
		for w := range f.watchers {
			w.end()
		}
		clear(f.watchers)
	})
}

func (f *fake) capabilities(body map[string]any) (int, string) {
	data := map[string]any{}
	paths, _ := body["paths"].([]any)
	for _, path := range paths {
		data[path.(string)] = []string{"read", "subscribe"}
		if f.noEvents[path.(string)] {
			data[path.(string)] = []string{"read"}
		}
	}
	text, _ := json.Marshal(map[string]any{"request_id": "r", "data": data})
	return 200, string(text)
}

// subscribe upgrades to a WebSocket in memory. The fake is locked.
func (f *fake) subscribe(r *http.Request, types string) (*http.Response, error) {
	rec := &upgrade{header: http.Header{}}
	since, _ := strconv.ParseUint(r.URL.Query().Get("since"), 10, 64)
	switch {
	case f.noPush != 0:
		rec.WriteHeader(f.noPush)
	case !f.tokens[r.Header.Get("X-Vault-Token")]:
		rec.WriteHeader(http.StatusForbidden)
	}
	if rec.status != 0 {
		return &http.Response{StatusCode: rec.status, Header: rec.header, Body: http.NoBody, Request: r}, nil
	}
	f.note("subscribe %s since %d", types, since)
	client, server := net.Pipe()
	rec.conn = server
	begin := f.revision
	if since > 0 {
		begin = since
	}
	rec.header.Set("X-Vault-Index", fmt.Sprint(begin))
	conn, err := websocket.Accept(rec, r, nil)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{filter: r.URL.Query().Get("filter"), queue: make(chan happening, 1000), end: cancel}
	f.watchers[w] = true
	for _, e := range f.log {
		if since > 0 && e.revision > since {
			w.tell(e)
		}
	}
	go w.serve(ctx, conn, since > 0 && since < f.forgotten)
	return &http.Response{StatusCode: rec.status, Header: rec.header, Body: client, Request: r}, nil
}

func (w *watcher) serve(ctx context.Context, conn *websocket.Conn, forgotten bool) {
	if forgotten {
		w.gone.Store(true)
		conn.Close(4410, "forgotten")
		return
	}
	defer w.gone.Store(true)
	defer conn.CloseNow()
	ctx = conn.CloseRead(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.queue:
			text := fmt.Sprintf(`{"id":"%d","data":{"event":{"metadata":{"vault_index":"%[1]d","path":%q,"current_version":"%d"}},"event_type":%q}}`, e.revision, e.path, e.version, e.types)
			if conn.Write(ctx, websocket.MessageText, []byte(text)) != nil {
				return
			}
		}
	}
}

// upgrade is what websocket.Accept answers to.
type upgrade struct {
	header http.Header
	status int
	conn   net.Conn
}

func (u *upgrade) Header() http.Header         { return u.header }
func (u *upgrade) Write(b []byte) (int, error) { return len(b), nil }
func (u *upgrade) WriteHeader(status int)      { u.status = status }
func (u *upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return u.conn, bufio.NewReadWriter(bufio.NewReader(u.conn), bufio.NewWriter(u.conn)), nil
}
