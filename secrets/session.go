package secrets

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

// Login earns a token through c, whose own it does not use.
type Login func(ctx context.Context, c *client.Client) (*api.Auth, error)

// AppRole logs in with a role id and a secret id, which may be empty if the role
// needs none. Mount is usually "approle".
func AppRole(mount, roleID, secretID string) Login {
	role, id := hide(roleID), hide(secretID)
	return func(ctx context.Context, c *client.Client) (*api.Auth, error) {
		return c.LoginAppRole(ctx, mount, role(), id())
	}
}

// Session is a client whose token is kept alive: renewed at two thirds of its
// life and, if there is a login, earned anew when it comes near the end that its
// role set for it, or has ended. It is safe for concurrent use.
type Session struct {
	client *client.Client
	login  Login // nil: nobody can
	report func(error)
	jitter jitter
	slot   chan struct{} // held by who asks for another token
	pusher pusher

	mu      sync.Mutex // guards the fields below
	token   life
	earned  []earned
	changed chan struct{}      // closed, and replaced, when the token is another
	cancel  context.CancelFunc // nil: nobody keeps it
	done    chan struct{}      // closed when keep has returned
}

// life is what is known of the token in use.
type life struct {
	number    uint64 // of the token: that of another is greater
	from      time.Time
	span      time.Duration // from then on; zero: it does not end, or nothing is known
	first     time.Duration // span when the token was new
	renewable bool
}

// earned is a token that is ours to revoke.
type earned struct {
	text hidden
	end  time.Time // zero: never
}

// NewSession returns a session on c. It asks nobody. A nil login means that c's
// token is all there is. report is told what goes wrong and is tried again; it
// may be nil.
func NewSession(c *client.Client, login Login, report func(error)) *Session {
	if report == nil {
		report = func(error) {}
	}
	s := &Session{
		client: c, login: login, report: report, jitter: fifth,
		slot: make(chan struct{}, 1), changed: make(chan struct{}),
	}
	s.pusher = pusher{session: s, streams: map[channel]*stream{}}
	return s
}

// Client returns the client, whose token changes.
func (s *Session) Client() *client.Client { return s.client }

// Format prints where the client points, and no token.
func (s *Session) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "secrets.Session(%s)", s.client) }

// Login logs in, if the session knows how.
func (s *Session) Login(ctx context.Context) error {
	if s.login == nil {
		return nil
	}
	auth, err := s.login(ctx, s.client.WithWrapTTL(""))
	if err != nil {
		return err
	}
	s.Adopt(auth)
	return nil
}

// Adopt takes a token that was made for the caller, in place of the one before:
// it is revoked at the end.
func (s *Session) Adopt(auth *api.Auth) {
	text, now := hide(auth.ClientToken), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	span := time.Duration(auth.LeaseDuration) * time.Second
	s.token = life{number: s.token.number + 1, from: now, span: span, first: span, renewable: auth.Renewable}
	kept := s.earned[:0]
	for _, e := range s.earned {
		if e.end.IsZero() || now.Before(e.end) {
			kept = append(kept, e)
		}
	}
	s.earned = append(kept, earned{text: text, end: s.token.end()})
	s.client.SetToken(auth.ClientToken)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (l life) end() time.Time {
	if l.span == 0 {
		return time.Time{}
	}
	return l.from.Add(l.span)
}

// learn remembers what a renewal, or a look, has told of the token of that
// number.
func (s *Session) learn(number uint64, span time.Duration, renewable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token.number != number {
		return
	}
	s.token.from, s.token.span, s.token.renewable = time.Now(), span, renewable
	if s.token.first == 0 {
		s.token.first = span
	}
	if n := len(s.earned); n > 0 {
		s.earned[n-1].end = s.token.end()
	}
}

// state returns what is known of the token, and a channel that is closed when it
// is another.
func (s *Session) state() (life, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token, s.changed
}

// replace is called by who was refused with the token of that number. It logs in
// again if that token has ended, and says whether there is another one now.
func (s *Session) replace(ctx context.Context, number uint64) bool {
	if s.login == nil {
		return false
	}
	select {
	case s.slot <- struct{}{}:
		defer func() { <-s.slot }()
	case <-ctx.Done():
		return false
	}
	if token, _ := s.state(); token.number != number {
		return true // another was faster
	}
	// A token that is gone and one without the right get the same answer.
	_, err := s.client.WithWrapTTL("").Read(ctx, "auth/token/lookup-self")
	if client.StatusOf(err) != http.StatusForbidden {
		return false
	}
	if err := s.Login(ctx); err != nil {
		s.report(fmt.Errorf("log in again: %w", err))
		return false
	}
	return true
}

// revokeTimeout bounds how long the end waits for the server.
const revokeTimeout = 5 * time.Second

// Close stops keeping the token alive, waits for a request under way, and revokes
// the tokens that were earned, and their leases with them.
func (s *Session) Close() error {
	s.mu.Lock()
	cancel, done, earned := s.cancel, s.done, s.earned
	s.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
	ctx, cancel := context.WithTimeout(context.Background(), revokeTimeout)
	defer cancel()
	var problems []error
	for _, token := range earned {
		_, err := s.client.WithToken(token.text()).WithWrapTTL("").Write(ctx, "auth/token/revoke-self", nil)
		// Refused: it has expired, or was revoked by somebody else.
		if err != nil && client.StatusOf(err) != http.StatusForbidden {
			problems = append(problems, fmt.Errorf("revoke the token, which ends by itself: %w", err))
		}
	}
	return errors.Join(problems...)
}
