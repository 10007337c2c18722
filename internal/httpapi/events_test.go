package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/cofferhq/coffer/client"
)

// enough is how long these tests wait for what has to come.
const enough = 20 * time.Second

// stream is a subscriber.
type stream struct {
	*websocket.Conn
	t     testing.TB
	start string // revision after which it begins
}

// listen subscribes with the root token, unless header says otherwise.
func (s *server) listen(path string, header ...string) *stream {
	s.t.Helper()
	conn, resp, err := s.dial(path, header...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.CloseNow() })
	return &stream{conn, s.t, resp.Header.Get("X-Vault-Index")}
}

func (s *server) dial(path string, header ...string) (*websocket.Conn, *http.Response, error) {
	h := http.Header{"X-Vault-Token": {rootText}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), enough)
	defer cancel()
	return websocket.Dial(ctx, s.URL+"/v1/sys/events/subscribe/"+path, &websocket.DialOptions{HTTPHeader: h})
}

// next reads an event.
func (s *stream) next() client.Event {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), enough)
	defer cancel()
	kind, text, err := s.Read(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	if kind != websocket.MessageText {
		s.t.Fatalf("a message of type %v", kind)
	}
	e, err := client.ParseEvent(text)
	if err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
	return e
}

// ended waits for the close, and wants it to have a code and a reason.
func (s *stream) ended(code websocket.StatusCode, reason string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), enough)
	defer cancel()
	for {
		_, _, err := s.Read(ctx)
		if err == nil {
			continue
		}
		if got := websocket.CloseStatus(err); got != code || !strings.Contains(err.Error(), reason) {
			s.t.Errorf("closed with %v, want %d and %q", err, code, reason)
		}
		return
	}
}

// token returns a token with a policy of its own, which may subscribe.
func (s *server) token(name, rules string) string {
	s.t.Helper()
	s.rules(name, rules)
	return s.must("POST", "/v1/auth/token/create", fmt.Sprintf(`{"policies":[%q],"ttl":"1h"}`, name)).text(s.t, "auth.client_token")
}

func (s *server) rules(name, rules string) {
	s.t.Helper()
	body, err := json.Marshal(map[string]string{"policy": `path "sys/events/subscribe/*" { capabilities = ["read"] }` + "\n" + rules})
	if err != nil {
		s.t.Fatal(err)
	}
	s.must("PUT", "/v1/sys/policies/acl/"+name, string(body))
}

func (s *server) put(name string) {
	s.t.Helper()
	s.must("POST", "/v1/secret/data/"+name, `{"data":{"password":"hunter2"}}`)
}

// The bytes are those that any implementation of RFC 6455 sends and gets.
func TestASubscriptionOnTheWire(t *testing.T) {
	s := newServer(t)
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(enough))
	// The key and the answer to it are the example of RFC 6455 §1.3.
	fmt.Fprintf(conn, "GET /v1/sys/events/subscribe/kv-v2%%2Fdata-write?json=true HTTP/1.1\r\nHost: coffer\r\nUpgrade: websocket\r\n"+
		"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nX-Vault-Token: root\r\n\r\n")
	r := bufio.NewReader(conn)
	line, err := textproto.NewReader(r).ReadLine()
	if err != nil || line != "HTTP/1.1 101 Switching Protocols" {
		t.Fatalf("%q, %v", line, err)
	}
	header, err := textproto.NewReader(r).ReadMIMEHeader()
	if err != nil || header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || header.Get("X-Vault-Index") == "" {
		t.Fatalf("%v, %v", header, err)
	}
	s.put("db")
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		t.Fatal(err)
	}
	if head[0] != 0x81 || head[1] != 126 { // a whole text, unmasked, with a length of two bytes
		t.Fatalf("frame %x", head)
	}
	text := make([]byte, int(head[2])<<8|int(head[3]))
	if _, err := io.ReadFull(r, text); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), `{"id":"`) || strings.Contains(string(text), "hunter2") {
		t.Errorf("%s", text)
	}
	if _, err := conn.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8}); err != nil { // close with 1000
		t.Fatal(err)
	}
	var bye [4]byte
	if _, err := io.ReadFull(r, bye[:]); err != nil || bye != [4]byte{0x88, 0x02, 0x03, 0xe8} {
		t.Errorf("%x, %v", bye, err)
	}
}

func TestEventsComeAsTheyHappen(t *testing.T) {
	s := newServer(t)
	all := s.listen("*?json=true")
	one := s.listen(`kv-v2%2F*?json=true&filter=` + `data_path%20%3D%3D%20%22secret%2Fdata%2Fdb%22`)
	s.put("other")
	s.put("db")
	s.must("DELETE", "/v1/secret/data/db", "")
	for _, want := range []string{"kv-v2/data-write secret/data/other", "kv-v2/data-write secret/data/db", "kv-v2/data-delete secret/data/db"} {
		if e := all.next(); e.Type+" "+e.Path != want {
			t.Errorf("%s %s, want %s", e.Type, e.Path, want)
		}
	}
	e := one.next()
	if e.Path != "secret/data/db" || e.Mount != "secret/" || e.Plugin != "kv" || e.Operation != "data-write" || e.Metadata["current_version"] != "1" {
		t.Errorf("%s", e.Raw)
	}
}

func TestEventsAreProtocolBuffersByDefault(t *testing.T) {
	s := newServer(t)
	sub := s.listen("kv-v2/data-write")
	s.put("db")
	kind, message, err := sub.Read(t.Context())
	if err != nil || kind != websocket.MessageBinary || !strings.Contains(string(message), "secret/data/db") {
		t.Errorf("%v %q %v", kind, message, err)
	}
}

func TestWhatElseHappensIsAnEventToo(t *testing.T) {
	s := newServer(t)
	sub := s.listen("coffer/*?json=true")
	s.must("POST", "/v1/sys/mounts/lent", `{"type":"lender"}`)
	s.must("POST", "/v1/sys/auth/userpass", `{"type":"userpass"}`)
	s.must("POST", "/v1/auth/userpass/users/anna", `{"password":"correct horse"}`)
	s.must("POST", "/v1/auth/userpass/login/anna", `{"password":"correct horse"}`)
	lease := s.must("GET", "/v1/lent/creds/a", "").text(t, "lease_id")
	s.must("PUT", "/v1/sys/leases/revoke", fmt.Sprintf(`{"lease_id":%q,"sync":true}`, lease))
	s.must("POST", "/v1/sys/mounts/lent/tune", `{"description":"x"}`)
	s.must("POST", "/v1/sys/remount", `{"from":"lent","to":"given"}`)
	s.must("DELETE", "/v1/sys/mounts/given", "")
	for _, want := range []string{
		"coffer/mount-enable sys/mounts/lent", "coffer/mount-enable sys/auth/userpass", "coffer/auth-login auth/userpass/login/anna",
		"coffer/lease-revoke lent/creds/a", "coffer/mount-tune sys/mounts/lent", "coffer/mount-move sys/mounts/given", "coffer/mount-disable sys/mounts/given",
	} {
		e := sub.next()
		if got := e.Type + " " + e.Path; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if strings.Contains(string(e.Raw), lease) {
			t.Errorf("the event gives the lease away: %s", e.Raw)
		}
	}
}

func TestWhoMaySubscribe(t *testing.T) {
	s := newServer(t)
	stranger := s.must("POST", "/v1/auth/token/create", `{"policies":["default"]}`).text(t, "auth.client_token")
	once := s.must("POST", "/v1/auth/token/create", `{"policies":["root"],"num_uses":1}`).text(t, "auth.client_token")
	tests := []struct {
		name, path string
		header     []string
		status     int
		text       string
	}{
		{"nobody", "*", []string{"X-Vault-Token", ""}, 403, "permission denied"},
		{"somebody with a wrong token", "*", []string{"X-Vault-Token", "wrong"}, 403, "permission denied"},
		{"somebody without the policy", "*", []string{"X-Vault-Token", stranger}, 403, "permission denied"},
		{"somebody whose token ends with that", "*", []string{"X-Vault-Token", once}, 400, "one use left"},
		{"a namespace that is not there", "*", []string{"X-Vault-Namespace", "other"}, 404, "no such namespace"},
		{"no type", "", nil, 400, "did not specify eventType"},
		{"a filter that is none", "*?filter=x", nil, 400, "filter"},
		{"a revision that is none", "*?since=yesterday", nil, 400, "since"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, resp, err := s.dial(test.path, test.header...)
			if err == nil || resp == nil {
				t.Fatal("the server agrees")
			}
			body, err := io.ReadAll(resp.Body)
			if resp.StatusCode != test.status || !strings.Contains(string(body), test.text) || err != nil {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
	t.Run("a request for something else", func(t *testing.T) {
		a := s.do("GET", "/v1/sys/events/subscribe/kv-v2/data-write", "")
		if a.status != http.StatusUpgradeRequired || !strings.Contains(string(a.body), "WebSocket") {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
	t.Run("a sealed server", func(t *testing.T) {
		if err := s.core.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, resp, err := s.dial("*"); err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
			t.Error("the server agrees")
		}
	})
}

func TestEventsAreCheckedAgainstPolicies(t *testing.T) {
	s := newServer(t)
	token := s.token("app", `path "secret/data/app/*" { capabilities = ["subscribe"] subscribe_event_types = ["kv-v2/data-*"] }`)
	sub := s.listen("*?json=true", "X-Vault-Token", token)
	s.put("other")
	s.put("app/db")
	if e := sub.next(); e.Path != "secret/data/app/db" {
		t.Errorf("%s", e.Raw)
	}
	s.rules("app", `path "secret/data/other" { capabilities = ["subscribe"] subscribe_event_types = ["*"] }`)
	s.core.RecheckStreams(t.Context())
	s.put("app/db")
	s.put("other")
	if e := sub.next(); e.Path != "secret/data/other" {
		t.Errorf("%s", e.Raw)
	}
}

func TestAStreamEndsWithWhatItStandsOn(t *testing.T) {
	tests := []struct {
		name   string
		do     func(s *server, token string)
		code   websocket.StatusCode
		reason string
	}{
		{"the token is revoked", func(s *server, token string) {
			s.must("POST", "/v1/auth/token/revoke", fmt.Sprintf(`{"token":%q}`, token))
		}, websocket.StatusPolicyViolation, "token"},
		{"the token expires", func(s *server, _ string) { s.clock.advance(2 * time.Hour) }, websocket.StatusPolicyViolation, "token"},
		{"the policy goes", func(s *server, _ string) {
			s.must("DELETE", "/v1/sys/policies/acl/app", "")
		}, websocket.StatusPolicyViolation, "permission denied"},
		{"the server is sealed", func(s *server, _ string) { s.must("PUT", "/v1/sys/seal", "") }, websocket.StatusGoingAway, "sealed"},
		{"the server stops", func(s *server, _ string) { s.core.EndStreams() }, websocket.StatusGoingAway, "stopping"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t)
			token := s.token("app", "")
			sub := s.listen("*", "X-Vault-Token", token)
			var wait sync.WaitGroup
			wait.Go(func() { sub.ended(test.code, test.reason) })
			test.do(s, token)
			wait.Wait()
		})
	}
}

func TestAStreamGoesOnWhereTheLastOneEnded(t *testing.T) {
	s := newServer(t)
	first := s.listen("kv-v2/*?json=true")
	s.put("a")
	last := first.next()
	first.CloseNow()
	s.put("b")
	s.put("c")
	second := s.listen(fmt.Sprintf("kv-v2/*?json=true&since=%d", last.Revision))
	s.put("d")
	for _, want := range []string{"b", "c", "d"} {
		if e := second.next(); e.Path != "secret/data/"+want {
			t.Errorf("%s, want %s", e.Path, want)
		}
	}
	s.listen("*?since=1000000").ended(4410, "no longer known")
}

func TestAStreamTellsHowFarItIs(t *testing.T) {
	s := newServer(t)
	sub := s.listen("database/*?json=true&progress=true")
	if e := sub.next(); e.Type != "coffer/progress" || fmt.Sprint(e.Revision) != sub.start {
		t.Errorf("%s, but it begins at %s", e.Raw, sub.start)
	}
}

func TestASubscriberThatTalksIsCutOff(t *testing.T) {
	s := newServer(t)
	sub := s.listen("*")
	if err := sub.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	sub.ended(websocket.StatusPolicyViolation, "")
}

func TestTheClientFollowsEvents(t *testing.T) {
	s := newServer(t)
	c, err := client.New(client.Config{Address: s.URL, Token: rootText})
	if err != nil {
		t.Fatal(err)
	}
	connected := make(chan struct{}, 10)
	events := make(chan client.Event)
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		for e, err := range c.Events(ctx, "kv-v2/data-write", client.EventOptions{
			Filter:    client.FilterPaths("secret/data/a", "secret/data/b"),
			Connected: func(uint64) { connected <- struct{}{} },
		}) {
			if err != nil {
				if ctx.Err() == nil {
					t.Error(err)
				}
				return
			}
			events <- e
		}
	})
	<-connected
	s.put("a")
	if e := <-events; e.Path != "secret/data/a" {
		t.Errorf("%s", e.Raw)
	}
	// The connection ends, and something happens before there is another.
	if err := s.core.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.unseal()
	s.put("other")
	s.put("b")
	if e := <-events; e.Path != "secret/data/b" {
		t.Errorf("%s", e.Raw)
	}
	cancel()
	wait.Wait()
}
