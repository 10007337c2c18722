package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
)

// script is what a server does with one connection after another: it refuses with
// a status, or sends events of revisions ("7a": event a of revision 7; "p9": it has
// come to 9) and closes with a code.
type script struct {
	status int
	index  string // as it says where it begins; empty: it does not say
	send   []string
	close  websocket.StatusCode
}

// play serves the scripts in turn, and the last one ever after. It returns what
// was asked for.
func play(t *testing.T, scripts ...script) (*Client, func() []string) {
	t.Helper()
	var n atomic.Int32
	var asked [20]string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i := int(n.Add(1)) - 1
		asked[i%len(asked)] = r.URL.Query().Get("since")
		do := scripts[min(i, len(scripts)-1)]
		if do.status != 0 {
			w.WriteHeader(do.status)
			fmt.Fprint(w, `{"errors":["because"]}`)
			return
		}
		if do.index != "" {
			w.Header().Set("X-Vault-Index", do.index)
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		for _, e := range do.send {
			conn.Write(r.Context(), websocket.MessageText, eventText(e))
		}
		conn.Close(do.close, "")
	}))
	t.Cleanup(s.Close)
	c, err := New(Config{Address: s.URL, Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	return c, func() []string { return asked[:n.Load()] }
}

func eventText(e string) []byte {
	eventType := "kv-v2/data-write"
	rev := strings.TrimRight(e, "abc")
	if p, ok := strings.CutPrefix(e, "p"); ok {
		eventType, rev = progressType, p
	}
	if rev == "" {
		return []byte(fmt.Sprintf(`{"id":%q,"data":{"event_type":%q}}`, e, eventType))
	}
	return []byte(fmt.Sprintf(`{"id":%q,"data":{"event":{"metadata":{"vault_index":%q}},"event_type":%q}}`, e, rev, eventType))
}

func TestEventsGoOnOverBrokenConnections(t *testing.T) {
	denied := script{status: http.StatusForbidden}
	tests := []struct {
		name    string
		scripts []script
		since   uint64
		want    string // ids of events, ! for events that may have been missed
		asked   []string
	}{
		{"events of one revision come again once", []script{
			{index: "5", send: []string{"7a", "7b"}, close: websocket.StatusGoingAway},
			{index: "6", send: []string{"7b", "7a", "7c", "8a"}, close: websocket.StatusTryAgainLater}, denied,
		}, 0, "7a 7b 7c 8a", []string{"", "6", "7"}},
		{"nothing came, but the server had come further", []script{
			{index: "5", send: []string{"p9"}, close: websocket.StatusGoingAway},
			{index: "9", send: []string{"10a"}, close: websocket.StatusGoingAway}, denied,
		}, 0, "10a", []string{"", "9", "9"}},
		{"nothing came at all", []script{
			{index: "5", close: websocket.StatusGoingAway}, {index: "5", send: []string{"6a"}, close: websocket.StatusGoingAway}, denied,
		}, 0, "6a", []string{"", "5", "5"}},
		{"from a revision on", []script{{index: "3", send: []string{"4a"}, close: websocket.StatusGoingAway}, denied}, 3, "4a", []string{"3", "3"}},
		{"the server is away for a while", []script{{status: 503}, {index: "3", send: []string{"4a"}, close: 1001}, denied}, 2, "4a", []string{"2", "2", "3"}},
		{"the server has forgotten", []script{
			{index: "5", send: []string{"7a"}, close: 1001}, {index: "6", close: statusForgotten},
			{index: "90", send: []string{"91a"}, close: 1001}, denied,
		}, 0, "7a ! 91a", []string{"", "6", "", "90"}},
		{"a server that can't resume", []script{
			{send: []string{"a"}, close: 1001}, {send: []string{"b"}, close: 1001}, denied,
		}, 0, "a ! b !", []string{"", "", ""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // it waits for pauses
			c, asked := play(t, test.scripts...)
			var got []string
			for e, err := range c.Events(t.Context(), "*", EventOptions{Since: test.since}) {
				switch {
				case err == nil:
					got = append(got, e.ID)
				case errors.Is(err, ErrEventsMissed):
					got = append(got, "!")
				case StatusOf(err) != http.StatusForbidden:
					t.Fatal(err)
				}
			}
			if all := strings.Join(got, " "); all != test.want {
				t.Errorf("got %s, want %s", all, test.want)
			}
			if !slices.Equal(asked(), test.asked) {
				t.Errorf("asked for %q, want %q", asked(), test.asked)
			}
		})
	}
}

func TestServersWithoutEventsAreTold(t *testing.T) {
	for _, status := range []int{404, 405, 426, 501, 200} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			c, _ := play(t, script{status: status})
			for _, err := range c.Events(t.Context(), "*", EventOptions{}) {
				if !errors.Is(err, ErrNoEvents) || StatusOf(err) != status {
					t.Errorf("error %v", err)
				}
			}
		})
	}
}

func TestEventsEndWithTheContextOrTheLoop(t *testing.T) {
	c, _ := play(t, script{index: "1", send: []string{"2a", "3a"}, close: 1001})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range c.Events(ctx, "*", EventOptions{}) {
		cancel()
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("ended with %v", last)
	}
	for range c.Events(t.Context(), "*", EventOptions{}) {
		break
	}
}

func TestFiltersOfPaths(t *testing.T) {
	if got := FilterPaths(`secret/data/a`, `secret/data/"b"`); got != `data_path == "secret/data/a" or data_path == "secret/data/\x22b\x22"` {
		t.Error(got)
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add(eventText("7a"))
	f.Add([]byte(`{"data":{"event_type":"x","event":{"metadata":{"modified":true,"n":1}}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if e, err := ParseEvent(text); err == nil && e.Type == "" {
			t.Errorf("an event without a type of %q", text)
		}
	})
}
