package agent

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"sync"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/internal/config"
	"github.com/cofferhq/coffer/internal/listener"
)

// proxy answers Vault's API on the agent's listeners by asking the server, with the
// agent's token where the configuration wants that.
type proxy struct {
	agent     *agent
	cfg       *Config
	log       *slog.Logger
	cache     *cache // nil: nothing is cached
	consumers *consumers
	forward   *httputil.ReverseProxy
	listeners []*listener.Listener
	instance  string
	quit      func()
}

func newProxy(a *agent) *proxy {
	p := &proxy{agent: a, cfg: a.Config, log: a.Log, instance: instanceName(), quit: sync.OnceFunc(func() { close(a.quit) })}
	p.consumers = newConsumers(a.client, a.Log)
	if a.Config.Cache {
		p.cache = newCache(a.client, a.Log)
	}
	p.forward = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      a.client.HTTP().Transport,
		ModifyResponse: p.observe,
		ErrorHandler:   p.fail,
		ErrorLog:       slog.NewLogLogger(discard{a.Log.Handler()}, slog.LevelDebug),
		FlushInterval:  -1, // what a server streams goes out at once
	}
	return p
}

// open takes the addresses. What is not loopback is told: who reaches it has the
// agent's rights.
func (p *proxy) open() error {
	for _, cfg := range p.cfg.Listeners {
		l, err := listener.Open(cfg.Listener, listener.Options{})
		if err != nil {
			p.closeListeners()
			return err
		}
		p.listeners = append(p.listeners, l)
		at, err := netip.ParseAddrPort(l.Addr().String())
		if err == nil && !at.Addr().IsLoopback() && p.cfg.Proxy.UseToken {
			p.log.Warn("whoever reaches this address has the agent's rights", "listener", l.URL())
		}
		p.log.Info("listening", "address", l.URL())
		if p.agent.Listening != nil {
			p.agent.Listening(l.URL())
		}
	}
	return nil
}

func (p *proxy) closeListeners() {
	for _, l := range p.listeners {
		l.Close() // nothing depends on it any more
	}
}

// run serves until ctx ends, and then lets requests under way end.
func (p *proxy) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	failed := make(chan error, len(p.listeners))
	var servers []*http.Server
	for i, l := range p.listeners {
		s := &http.Server{Handler: p.handler(&p.cfg.Listeners[i]), ConnContext: withPeer, ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug)}
		l.Configure(s)
		s.ReadTimeout = 0 // of big bodies the server has its own
		servers = append(servers, s)
		running.Go(func() {
			if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		})
	}
	running.Go(func() { p.consumers.run(ctx) })
	if p.cache != nil {
		running.Go(func() { p.cache.run(ctx) })
		if p.agent.keeper != nil {
			running.Go(func() { p.forgetOldTokens(ctx) })
		}
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	cancel()
	end, stop := context.WithTimeout(context.Background(), closeTimeout)
	defer stop()
	for _, s := range servers {
		if s.Shutdown(end) != nil {
			s.Close()
		}
	}
	running.Wait()
	return err
}

// forgetOldTokens empties the cache of what ends with a token that the agent no
// longer renews.
func (p *proxy) forgetOldTokens(ctx context.Context) {
	old := ""
	for {
		_, changed := p.agent.keeper.token()
		if now := p.agent.client.Token(); now != old {
			if old != "" {
				p.cache.clear()
			}
			old = now
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// reload reads the listeners' certificates again.
func (p *proxy) reload() {
	for _, l := range p.listeners {
		if err := l.Reload(); err != nil {
			p.log.Error("the certificate stays as it was", "error", err)
		}
	}
}

func (p *proxy) goodbye(ctx context.Context) { p.consumers.close(ctx) }

// handler answers requests of one listener.
func (p *proxy) handler(l *Listener) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch who := peerFrom(r); {
		case l.Network == config.Unix && !l.admits(who):
			refuse(w, http.StatusForbidden, "this socket is another user's")
		case l.RequireHeader && r.Header.Get("X-Vault-Request") != "true":
			refuse(w, http.StatusPreconditionFailed, "missing `X-Vault-Request` header")
		case strings.HasPrefix(r.URL.Path, "/agent/v1/"):
			p.control(w, r)
		case !strings.HasPrefix(r.URL.Path, "/v1/"):
			refuse(w, http.StatusNotFound, "the agent forwards /v1/ only")
		default:
			p.serve(w, r)
		}
	})
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(api.Failure{Errors: []string{text}})
}

// serve answers from the cache, or forwards.
func (p *proxy) serve(w http.ResponseWriter, r *http.Request) {
	token, ours, ok := p.tokenFor(r)
	if !ok {
		refuse(w, http.StatusServiceUnavailable, "the agent is not logged in yet")
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, &call{token: token, ours: ours, peer: peerFrom(r)}))
	if p.cache == nil {
		p.forward.ServeHTTP(w, r)
		return
	}
	p.cache.serve(w, r, p.forward)
}

// callKey is where a request's context has its call.
type callKey struct{}

// call is what is known of a request.
type call struct {
	token string
	ours  bool // the agent's token goes with it
	peer  *peer

	ends *ending                                                 // what it ends if it succeeds; nil: nothing
	keep func(answer *api.Secret, r *http.Response, body []byte) // remembers the answer; nil: it is not
}

func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// tokenFor returns the token that goes with a request; none if the caller has none
// and the configuration gives him none.
func (p *proxy) tokenFor(r *http.Request) (token string, ours, ok bool) {
	token = r.Header.Get("X-Vault-Token")
	if bearer, has := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); token == "" && has {
		token = strings.TrimSpace(bearer)
	}
	if !p.cfg.Proxy.UseToken || token != "" && !p.cfg.Proxy.Force {
		return token, false, true
	}
	if number, _ := p.agent.keeper.token(); number == 0 {
		return "", false, false
	}
	return p.agent.client.Token(), true, true
}

// rewrite makes the request to the server of that to the agent.
func (p *proxy) rewrite(r *httputil.ProxyRequest) {
	base := p.agent.client.URL("", url.Values{})
	r.Out.URL.Scheme, r.Out.URL.Host = base.Scheme, base.Host
	r.Out.URL.Path = strings.TrimSuffix(base.Path, "/v1/") + r.In.URL.Path
	r.Out.URL.RawPath = ""
	if r.In.URL.RawPath != "" {
		r.Out.URL.RawPath = strings.TrimSuffix(base.EscapedPath(), "/v1/") + r.In.URL.RawPath
	}
	r.Out.Host = base.Host
	c := callOf(r.In.Context())
	r.Out.Header.Del("Authorization")
	r.Out.Header.Del("X-Vault-Token")
	if c.token != "" {
		r.Out.Header.Set("X-Vault-Token", c.token)
	}
	r.Out.Header.Set("X-Vault-Request", "true")
	if ns := p.agent.client.Namespace(); ns != "" && r.Out.Header.Get("X-Vault-Namespace") == "" {
		r.Out.Header.Set("X-Vault-Namespace", ns+"/")
	}
	if r.Out.Header.Get(instanceHeader) == "" {
		r.Out.Header.Set(instanceHeader, c.peer.instance(p.instance))
	}
}

// fail answers for a server that is away.
func (p *proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		p.log.Warn("the server cannot be reached", "method", r.Method, "path", r.URL.Path, "error", bare(err))
	}
	refuse(w, http.StatusBadGateway, "the agent cannot reach the server")
}

// bare drops the URL from an error, whose query is not ours to show.
func bare(err error) error {
	if ue := new(url.Error); errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// discard keeps what package httputil says, which could quote a header, out of the
// log.
type discard struct{ slog.Handler }

// Handle implements [slog.Handler].
func (discard) Handle(context.Context, slog.Record) error { return nil }
