package secrets

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"github.com/cofferhq/coffer/client"
)

// Defaults of the options.
const (
	// DefaultInterval is how often a server that does not tell by itself is asked for
	// a new version, more or less a fifth.
	DefaultInterval = 15 * time.Second
	// DefaultGrace is how long a lease is left alone after its last use.
	DefaultGrace = 30 * time.Second
)

// Option changes how secrets are opened and followed.
type Option func(*settings)

type settings struct {
	session *Session
	client  *client.Client
	login   Login

	interval time.Duration
	grace    time.Duration
	instance string
	silent   bool
	polling  bool  // nothing is subscribed to
	check    check // nil: any values will do
	report   func(error)
	first    []func(context.Context, Snapshot) error // that get the first values

	ours   bool // the session is to be closed with the group
	jitter jitter
}

// jitter changes a time a little, at random, so that many clients do not come at
// once.
type jitter func(time.Duration) time.Duration

func fifth(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// WithSession reads through a session, which is the caller's to close, after
// what reads through it.
func WithSession(s *Session) Option { return func(o *settings) { o.session = s } }

// WithClient reads through c. Its token is kept alive as far as it can be; the
// token that c has at the time of a request is used. Without this option, a
// client is made of the environment, see [Open].
func WithClient(c *client.Client) Option { return func(o *settings) { o.client = c } }

// WithLogin logs in, now and whenever the token has ended. The tokens are
// revoked at the end.
func WithLogin(login Login) Option { return func(o *settings) { o.login = login } }

// WithInterval sets how often the server is asked for a new version, more or less
// a fifth, where it does not tell by itself. Zero: [DefaultInterval].
func WithInterval(d time.Duration) Option { return func(o *settings) { o.interval = d } }

// WithGrace sets how long a lease is left alone, after the application has moved
// on to another credential, before it is revoked. Zero: [DefaultGrace].
func WithGrace(d time.Duration) Option { return func(o *settings) { o.grace = d } }

// WithInstance names this process among those that share its token. Empty: the
// machine's name and the number of the process.
func WithInstance(name string) Option { return func(o *settings) { o.instance = name } }

// WithoutAcknowledgement tells the server nothing about the version in use.
func WithoutAcknowledgement() Option { return func(o *settings) { o.silent = true } }

// WithoutPush subscribes to nothing: the server is asked once an interval.
func WithoutPush() Option { return func(o *settings) { o.polling = true } }

// WithOnChange is [Group.OnChange] for a function that is to get the first values,
// too. The server is not told that they are in use before it has returned. It may
// be called before the group's opener has the group.
func WithOnChange(fn func(ctx context.Context, s Snapshot) error) Option {
	return func(o *settings) { o.first = append(o.first, fn) }
}

// WithErrorHandler calls fn with what goes wrong while secrets are followed, and
// is tried again: never a reason to stop. The errors hold no secret. It is called
// from several goroutines, and must return soon.
func WithErrorHandler(fn func(error)) Option { return func(o *settings) { o.report = fn } }

func newSettings(opts []Option) (*settings, error) {
	o := &settings{jitter: fifth}
	for _, opt := range opts {
		opt(o)
	}
	if o.interval == 0 {
		o.interval = DefaultInterval
	}
	if o.grace == 0 {
		o.grace = DefaultGrace
	}
	if o.instance == "" {
		o.instance = defaultInstance()
	}
	if o.report == nil {
		o.report = func(error) {}
	}
	if o.interval < 0 || o.grace < 0 {
		return nil, errors.New("secrets: interval and grace must not be negative")
	}
	return o, o.connect()
}

// connect makes the session, if none was given.
func (o *settings) connect() error {
	if o.session != nil {
		if o.client != nil || o.login != nil {
			return errors.New("secrets: a session has its own client and login")
		}
		return nil
	}
	if o.client == nil {
		c, login, err := fromEnvironment(os.Getenv)
		if err != nil {
			return fmt.Errorf("secrets: %w", err)
		}
		o.client = c
		if o.login == nil {
			o.login = login
		}
	}
	o.session, o.ours = NewSession(o.client, o.login, o.report), true
	o.session.jitter = o.jitter
	return nil
}

// opened counts the groups of this process, which are consumers of their own.
var opened atomic.Int64

func defaultInstance() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	name := fmt.Sprintf("%s:%d", host, os.Getpid())
	if n := opened.Add(1); n > 1 {
		name += fmt.Sprintf("/%d", n)
	}
	return name
}
