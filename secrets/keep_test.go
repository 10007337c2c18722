package secrets

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

// clockwork answers from memory, and notes when it was asked what.
type clockwork struct {
	start   time.Time
	answers map[string][]string // path → "STATUS BODY", in turn; the last one repeats
	asked   []string            // "SECONDS PATH"
}

func (c *clockwork) RoundTrip(r *http.Request) (*http.Response, error) {
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	c.asked = append(c.asked, fmt.Sprintf("%.0f %s %s", time.Since(c.start).Seconds(), path, r.Header.Get("X-Vault-Token")))
	answers := c.answers[path]
	if len(answers) == 0 {
		answers = []string{`404 {"errors":[]}`}
	}
	if len(answers) > 1 {
		c.answers[path] = answers[1:]
	}
	var status int
	fmt.Sscan(answers[0], &status)
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answers[0][4:])), Request: r}, nil
}

func auth(token string, seconds int) string {
	return fmt.Sprintf(`200 {"request_id":"r","auth":{"client_token":%q,"lease_duration":%d,"renewable":true}}`, token, seconds)
}

func TestTheTokenIsKeptAlive(t *testing.T) {
	const renew, login, lookup, revoke = "auth/token/renew-self", "auth/approle/login", "auth/token/lookup-self", "auth/token/revoke-self"
	const refused = `400 {"errors":["no"]}`
	tests := []struct {
		name     string
		earned   bool // else given
		answers  map[string][]string
		run      time.Duration
		want     []string
		warnings int
	}{
		{"an earned one is renewed at two thirds of its life, and revoked", true,
			map[string][]string{renew: {auth("t", 300)}, revoke: {"204 "}}, 500 * time.Second,
			[]string{"200 " + renew + " t", "400 " + renew + " t", "500 " + revoke + " t"}, 0},
		{"a given one is looked up and never revoked", false,
			map[string][]string{lookup: {`200 {"request_id":"r","data":{"ttl":90,"renewable":true}}`}, renew: {auth("t", 300)}}, 300 * time.Second,
			[]string{"0 " + lookup + " t", "60 " + renew + " t", "260 " + renew + " t"}, 0},
		{"a given one that does not end is left alone", false,
			map[string][]string{lookup: {`200 {"request_id":"r","data":{"ttl":0,"renewable":true}}`}}, time.Hour,
			[]string{"0 " + lookup + " t"}, 0},
		{"a given one that we may not look up is left alone", false,
			map[string][]string{lookup: {`403 {"errors":["permission denied"]}`}}, time.Hour,
			[]string{"0 " + lookup + " t"}, 0},
		{"near its end we log in again, and both are revoked", true,
			map[string][]string{renew: {auth("t", 50), auth("u", 300)}, login: {auth("u", 300)}, revoke: {"204 "}}, 450 * time.Second,
			[]string{"200 " + renew + " t", "200 " + login + " ", "400 " + renew + " u", "450 " + revoke + " t", "450 " + revoke + " u"}, 0},
		{"one that is refused is replaced", true,
			map[string][]string{renew: {`403 {"errors":["permission denied"]}`}, login: {auth("u", 300)}, revoke: {`403 {"errors":["permission denied"]}`, "204 "}}, 300 * time.Second,
			[]string{"200 " + renew + " t", "200 " + login + " ", "300 " + revoke + " t", "300 " + revoke + " u"}, 0},
		{"a server that refuses is asked again, and told of once", true,
			map[string][]string{renew: {refused, refused, auth("t", 300)}, login: {refused}, revoke: {"204 "}}, 300 * time.Second,
			[]string{"200 " + renew + " t", "200 " + login + " ", "233 " + renew + " t", "233 " + login + " ", "256 " + renew + " t", "300 " + revoke + " t"}, 1},
		{"a given one that cannot be renewed is given up when it has died", false,
			map[string][]string{lookup: {`200 {"request_id":"r","data":{"ttl":9,"renewable":true}}`}, renew: {refused}}, time.Hour,
			[]string{"0 " + lookup + " t", "6 " + renew + " t", "7 " + renew + " t", "8 " + renew + " t", "9 " + renew + " t"}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wire := &clockwork{start: time.Now(), answers: tt.answers}
				c, err := client.New(client.Config{
					Token: "t", MaxRetries: client.NoRetries,
					WrapTransport: func(http.RoundTripper) http.RoundTripper { return wire },
				})
				if err != nil {
					t.Fatal(err)
				}
				warnings := 0
				var login Login
				if tt.earned {
					login = AppRole("approle", "r", "s")
				}
				s := NewSession(c, login, func(error) { warnings++ })
				s.jitter = func(d time.Duration) time.Duration { return d }
				if tt.earned {
					s.Adopt(&api.Auth{ClientToken: "t", LeaseDuration: 300, Renewable: true})
				}
				s.Keep()
				time.Sleep(tt.run)
				synctest.Wait()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if d := cmp.Diff(tt.want, wire.asked); d != "" {
					t.Error(d)
				}
				if warnings != tt.warnings {
					t.Errorf("%d warnings, want %d", warnings, tt.warnings)
				}
			})
		})
	}
}
