package secrets

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// gate is an API that takes keys.
type gate struct {
	mu    sync.Mutex // guards the fields below
	keys  []string   // as they come in the header
	name  string     // of the header
	seen  []string
	moved string // where it redirects to
}

func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	body := ""
	if r.Body != nil {
		text, _ := io.ReadAll(r.Body)
		r.Body.Close()
		body = string(text)
	}
	key := r.Header.Get(g.name)
	g.seen = append(g.seen, strings.TrimSpace(r.URL.Host+" "+key+" "+body))
	status, header := http.StatusOK, http.Header{}
	switch {
	case g.moved != "" && r.URL.Path == "/moved":
		status = http.StatusTemporaryRedirect
		header.Set("Location", g.moved)
	case !slices.Contains(g.keys, key):
		status = http.StatusUnauthorized
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader("answer")), Request: r}, nil
}

func (g *gate) take(keys ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.keys = keys
}

func (g *gate) requests() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := g.seen
	g.seen = nil
	return seen
}

// call makes a request and returns its status.
func (h *house) call(t *Transport, r *http.Request) int {
	h.Helper()
	resp, err := (&http.Client{Transport: t}).Do(r)
	if err != nil {
		h.Error(err)
		return 0
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode < 300 && string(text) != "answer" {
		h.Errorf("%q, %v", text, err)
	}
	return resp.StatusCode
}

func (h *house) request(method, url string, body io.Reader) *http.Request {
	h.Helper()
	r, err := http.NewRequestWithContext(h.Context(), method, url, body)
	if err != nil {
		h.Fatal(err)
	}
	return r
}

func TestARequestHasTheNewestKey(t *testing.T) {
	inHouse(t, "also after it was refused, and then its body is sent again", func(h *house) {
		api := &gate{name: "Authorization", keys: []string{"Bearer p1"}}
		s := h.open(reference)
		tr := &Transport{Secret: s, Base: api}
		if status := h.call(tr, h.request("GET", "http://api/", nil)); status != 200 {
			h.Error(status)
		}
		api.take("Bearer p2")
		h.put("app/db", `{"password":"p2"}`)
		if status := h.call(tr, h.request("POST", "http://api/", strings.NewReader("order"))); status != 200 {
			h.Error(status)
		}
		want := []string{"api Bearer p1", "api Bearer p1 order", "api Bearer p2 order"}
		if d := cmp.Diff(want, api.requests()); d != "" {
			h.Error(d)
		}
		h.close(s)
	})
	inHouse(t, "but a body that is gone is not sent again", func(h *house) {
		api := &gate{name: "Authorization"}
		s := h.open(reference)
		tr := &Transport{Secret: s, Base: api}
		if status := h.call(tr, h.request("POST", "http://api/", io.MultiReader(bytes.NewReader([]byte("once"))))); status != 401 {
			h.Error(status)
		}
		if seen := api.requests(); len(seen) != 1 {
			h.Error(seen)
		}
		h.close(s)
	})
	inHouse(t, "and a refusal for another reason is passed on, without many questions", func(h *house) {
		api := &gate{name: "X-Key"}
		s := h.open(reference, WithInterval(time.Hour))
		tr := &Transport{Secret: s, Header: "X-Key", Base: api}
		pass(0)
		h.change(func() { h.reads = 0 })
		for range 20 {
			if status := h.call(tr, h.request("GET", "http://api/", nil)); status != 401 {
				h.Error(status)
			}
		}
		h.wantReads(1, "twenty refusals")
		if seen := api.requests(); len(seen) != 20 || seen[0] != "api p1" {
			h.Error(seen)
		}
		h.close(s)
	})
	inHouse(t, "in a form of the caller's, and not on its way elsewhere", func(h *house) {
		api := &gate{name: "X-Key", keys: []string{"", "Key p1;"}, moved: "http://api/there"}
		s := h.open(reference)
		tr := &Transport{Secret: s, Header: "X-Key", Format: "Key %s;", Base: api}
		h.call(tr, h.request("GET", "http://api/moved", nil))
		api.moved = "http://elsewhere/there"
		h.call(tr, h.request("GET", "http://api/moved", nil))
		api.moved = "http://api/there"
		h.call(tr, h.request("GET", "https://api/moved", nil))
		want := []string{"api Key p1;", "api Key p1;", "api Key p1;", "elsewhere", "api Key p1;", "api"}
		if d := cmp.Diff(want, api.requests()); d != "" {
			h.Error(d)
		}
		h.close(s)
	})
	inHouse(t, "unless no header can have it", func(h *house) {
		h.put("app/db", `{"password":"p1\n"}`)
		s := h.open(reference)
		_, err := (&http.Client{Transport: &Transport{Secret: s, Base: &gate{}}}).Do(h.request("GET", "http://api/", strings.NewReader("x")))
		if err == nil || strings.Contains(err.Error(), "p1") {
			h.Error(err)
		}
		h.close(s)
	})
	withPush(t, "and a version is in use while an answer to it is read", func(h *house) {
		api := &gate{name: "Authorization", keys: []string{"Bearer p1", "Bearer p2"}}
		s := h.open(reference)
		pass(0)
		resp, err := (&http.Client{Transport: &Transport{Secret: s, Base: api}}).Do(h.request("GET", "http://api/", nil))
		if err != nil {
			h.Fatal(err)
		}
		h.put("app/db", `{"password":"p2"}`)
		pass(time.Second)
		h.wantAcknowledged("0 uses 1 of secret/data/app/db as me")
		resp.Body.Close()
		pass(0)
		h.wantAcknowledged("1 uses 2 of secret/data/app/db as me")
		h.close(s)
	})
}

// Whoever takes the keys of before and after during a rotation, and waits for the
// acknowledgement, refuses nobody.
func TestARotationUnderLoadLosesNoRequest(t *testing.T) {
	withPush(t, "that goes through the transport", func(h *house) {
		api := &gate{name: "Authorization", keys: []string{"Bearer k1"}}
		h.put("api", `{"key":"k1"}`)
		s := h.open("vault:secret/api#key")
		pass(0)
		tr := &Transport{Secret: s, Base: api}
		stop := make(chan struct{})
		var load sync.WaitGroup
		for range 8 {
			load.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
					}
					if status := h.call(tr, h.request("GET", "http://api/", nil)); status != 200 {
						h.Errorf("status %d", status)
					}
				}
			})
		}
		for version := 2; version < 20; version++ {
			before, now := fmt.Sprintf("Bearer k%d", version-1), fmt.Sprintf("Bearer k%d", version)
			api.take(before, now)
			h.put("api", fmt.Sprintf(`{"key":"k%d"}`, version))
			acknowledged := fmt.Sprintf("uses %d of secret/data/api as me", version)
			for !slices.ContainsFunc(h.requests(), func(r string) bool { return strings.HasSuffix(r, acknowledged) }) {
				time.Sleep(time.Millisecond)
			}
			api.take(now)
			time.Sleep(5 * time.Millisecond)
		}
		close(stop)
		load.Wait()
		if slices.Contains(api.requests(), "api") {
			h.Error("a request had no key")
		}
		h.close(s)
	})
}
