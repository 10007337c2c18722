// Package server puts a server together, starts it and stops it. [Run] reads
// straight down: each step says why it stands where it stands.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/audit"
	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/builtin"
	"github.com/cofferhq/coffer/internal/config"
	"github.com/cofferhq/coffer/internal/core"
	"github.com/cofferhq/coffer/internal/custody"
	"github.com/cofferhq/coffer/internal/httpapi"
	"github.com/cofferhq/coffer/internal/listener"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/metrics"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/rotate"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/sys"
)

// drainTime is how long a stopping server waits for requests under way.
const drainTime = 10 * time.Second

// Options is what a server is started with. Config and Log are needed.
type Options struct {
	Config *config.Config
	Log    *slog.Logger
	// LogLevel is that of Log, if it may be changed while the server runs; else nil.
	LogLevel *slog.LevelVar

	// SelfInit initialises an empty store: the server without a configuration
	// does, one with a configuration waits for an operator.
	SelfInit bool
	// Dev is a server for trying out: in memory, unsealed, KV v2 at secret/.
	Dev bool
	// DevKVv1 makes secret/ of a server for trying out KV v1.
	DevKVv1 bool
	// RootToken is the text of the first root token; empty: a random one.
	RootToken string

	// Ready is told, once, when requests are served. It may be nil.
	Ready func(Started)
	// Reload asks to read certificates again and to reopen logs; may be nil.
	Reload <-chan os.Signal
	// LogFile is what Log writes to, if that is a file; it is reopened on Reload.
	LogFile *LogFile
}

// Started tells of a server that serves.
type Started struct {
	URLs  []string
	Trust []listener.Trust // of certificates that the server made

	// First is what a self-initialised server tells once; nil if there was
	// something already.
	First *core.InitResult
}

// Run serves until ctx ends, then drains and closes. It returns nil after a
// proper stop.
func Run(ctx context.Context, o Options) (err error) {
	// Before any secret is in memory.
	protectMemory(o)

	// The pid file names a process that has begun, so that a supervisor can stop
	// one that hangs in what follows.
	if err := writePID(o.Config.PIDFile); err != nil {
		return err
	}
	defer removePID(o.Config.PIDFile)

	// The store first: if another server uses it, nothing else must happen.
	store, err := builtin.OpenStorage(o.Config.Storage, o.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()

	// The core is made sealed; it closes before the store that it stands on.
	c, m, err := assemble(ctx, o, store)
	if err != nil {
		return err
	}
	defer c.Close()

	// Listeners serve before unsealing, which may take its time: health says so
	// meanwhile. They are bound before anything is initialised, so that a taken
	// address loses no root token.
	web, err := listen(o, c, m)
	if err != nil {
		return err
	}
	defer web.stop()
	web.start()

	first, err := open(ctx, o, c)
	if err != nil {
		return err
	}
	if o.Ready != nil {
		o.Ready(Started{URLs: web.urls(), Trust: web.trust(), First: first})
	}
	return web.wait(ctx, o, c)
}

// assemble makes the core with its engines.
func assemble(ctx context.Context, o Options, store storage.Store) (*core.Core, *metrics.Metrics, error) {
	b := barrier.New(store)
	initialized, err := b.Initialized(ctx)
	if err != nil {
		return nil, nil, err
	}
	auto, err := builtin.OpenSeal(o.Config.Seal, !initialized)
	if err != nil {
		return nil, nil, err
	}
	var m *metrics.Metrics
	limits := mount.Limits{DefaultLeaseTTL: o.Config.DefaultLeaseTTL, MaxLeaseTTL: o.Config.MaxLeaseTTL}
	passwords := sys.NewPasswordPolicies(b, core.RootNamespace).Policy
	now := func() time.Time { return time.Now().UTC() }
	c := core.New(core.Options{
		Store: store, Barrier: b, Keeper: custody.New(store, b, auto), Kinds: builtin.Kinds(passwords), Log: o.Log,
		Now:             now,
		Steady:          steadyTime(),
		DefaultLeaseTTL: limits.DefaultLeaseTTL, MaxLeaseTTL: limits.MaxLeaseTTL,
		Audit: declared(o.Config.Audits), FirstMounts: firstMounts(o),
		Sources: builtin.Sources(passwords, o.Config.RotationPrograms),
		Rotated: func(name string, e *rotate.Evidence) { m.Rotated(name, outcome(e)) },
		System: func(c *core.Core) []logical.Kind {
			m = metrics.New(c.Sealed)
			m.ShowRotations(func() []metrics.Rotation { return shownRotations(c, o.Log) }, now)
			m.ShowDue(c.DueHeld)
			m.ShowAudit(func() []metrics.AuditDevice { return shownDevices(c) })
			return sys.Kinds(sys.Deps{
				House: c, Store: b, Tokens: c.Tokens(), Leases: c.Leases(), Policies: c.Policies(),
				Devices: c.Devices(), Barrier: b, Metrics: render(o, m),
				Host:          func() (any, error) { return hostInfo(o.Config.Storage.Path) },
				Configuration: func() any { return state(o) },
				LogLevel:      o.LogLevel,
			})
		},
	})
	c.Devices().OnFailure = func(string, error) { m.AuditFailed() }
	c.Devices().OnSpace = func(path string, s audit.Space) { tellSpace(o.Log, path, s) }
	return c, m, nil
}

// render is the metrics in the forms that the configuration allows.
func render(o Options, m *metrics.Metrics) func(format string) (contentType string, body []byte, err error) {
	if !o.Config.Telemetry.NoPrometheus {
		return m.Render
	}
	return func(format string) (string, []byte, error) {
		if format == "prometheus" {
			return "", nil, logical.Invalid("prometheus is not enabled")
		}
		return m.Render(format)
	}
}

func declared(audits []config.Audit) []audit.Declared {
	var all []audit.Declared
	for _, a := range audits {
		all = append(all, audit.Declared{Path: a.Path + "/", Type: a.Type, Description: a.Description, Options: a.Options})
	}
	return all
}

func firstMounts(o Options) []*mount.Entry {
	if !o.Dev {
		return nil
	}
	version := "2"
	if o.DevKVv1 {
		version = "1"
	}
	return []*mount.Entry{{
		Path: "secret/", Type: "kv", Description: "key/value secret storage", Options: map[string]string{"version": version},
	}}
}

// open initialises and unseals the core where that needs nobody.
func open(ctx context.Context, o Options, c *core.Core) (*core.InitResult, error) {
	status, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	if !status.Initialized {
		if !o.SelfInit && !o.Dev {
			o.Log.Info("not initialized yet: run coffer operator init")
			return nil, nil
		}
		return initialize(ctx, o, c)
	}
	if !c.Keeper.Auto() {
		o.Log.Info("sealed: run coffer operator unseal")
		return nil, nil
	}
	return nil, c.AutoUnseal(ctx)
}

func initialize(ctx context.Context, o Options, c *core.Core) (*core.InitResult, error) {
	p := custody.Params{Shares: 1, Threshold: 1}
	if c.Keeper.Auto() {
		p = custody.Params{RecoveryShares: 1, RecoveryThreshold: 1}
	}
	first, err := c.Init(ctx, p, o.RootToken)
	if err != nil {
		return nil, err
	}
	if !c.Keeper.Auto() {
		if _, err := c.Unseal(ctx, first.Keys[0].Reveal()); err != nil {
			return nil, err
		}
	}
	return &first, nil
}

// web is the listeners with their HTTP servers.
type web struct {
	listeners []*listener.Listener
	servers   []*http.Server
	failed    chan error // what ended a server
	log       *slog.Logger
}

func listen(o Options, c *core.Core, m *metrics.Metrics) (*web, error) {
	w := &web{log: o.Log}
	host, err := hostname(o.Config)
	if err != nil {
		return nil, err
	}
	for _, cfg := range o.Config.Listeners {
		l, err := listener.Open(cfg, listener.Options{Names: apiHost(o.Config.APIAddr)})
		if err != nil {
			w.stop()
			return nil, err
		}
		s := &http.Server{Handler: handler(o, c, m, l, host), ErrorLog: httpErrors(o.Log)}
		l.Configure(s)
		s.RegisterOnShutdown(c.EndStreams) // a shutdown does not know of them
		w.listeners, w.servers = append(w.listeners, l), append(w.servers, s)
	}
	return w, nil
}

func handler(o Options, c *core.Core, m *metrics.Metrics, l *listener.Listener, host string) http.Handler {
	cfg := l.Config()
	h := httpapi.Options{
		Core: c, Log: o.Log, StorageType: string(o.Config.Storage.Kind), ClusterName: o.Config.ClusterName,
		ClientAddr:  func(r *http.Request) (netip.AddrPort, error) { return clientAddr(l, r) },
		MaxDuration: cfg.MaxRequestDuration, MaxBodyBytes: cfg.MaxRequestBytes,
		OpenMetrics: cfg.UnauthenticatedMetrics, Metrics: render(o, m), Observe: m.Observe, Hostname: host,
		SudoRekey: cfg.DisableUnauthedRekey, SudoGenerateRoot: cfg.DisableUnauthedGenerateRoot,
	}
	if h.MaxDuration == 0 {
		h.MaxDuration = o.Config.DefaultMaxRequestDuration
	}
	if cfg.WriteTimeout == 0 {
		h.StallTime = listener.StallTime
	}
	if h.ClusterName == "" {
		h.ClusterName = "coffer"
	}
	return httpapi.New(h)
}

// hostname is what answers name, or nothing if they are to name none.
func hostname(cfg *config.Config) (string, error) {
	if !cfg.ResponseHeaderHostname {
		return "", nil
	}
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("enable_response_header_hostname: %w", err)
	}
	return name, nil
}

// clientAddr is the client's address after trusted proxies; the port is known
// only of who is connected directly.
func clientAddr(l *listener.Listener, r *http.Request) (netip.AddrPort, error) {
	addr, err := l.ClientAddr(r)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && peer.Addr().Unmap() == addr {
		return netip.AddrPortFrom(addr, peer.Port()), nil
	}
	return netip.AddrPortFrom(addr, 0), nil
}

func apiHost(apiAddr string) []string {
	_, rest, ok := strings.Cut(apiAddr, "://")
	if !ok {
		return nil
	}
	host, _, err := net.SplitHostPort(rest)
	if err != nil {
		host = rest
	}
	return []string{host}
}

func (w *web) urls() []string {
	var urls []string
	for _, l := range w.listeners {
		urls = append(urls, l.URL())
	}
	return urls
}

func (w *web) trust() []listener.Trust {
	var all []listener.Trust
	for _, l := range w.listeners {
		if t, ok := l.Trust(); ok {
			all = append(all, t)
		}
	}
	return all
}

// start begins to serve. Each server's goroutine ends when stop or drain closes
// the server.
func (w *web) start() {
	w.failed = make(chan error, len(w.servers))
	for i, s := range w.servers {
		go func() { w.failed <- s.Serve(w.listeners[i]) }()
	}
}

// wait returns when ctx has ended and requests under way are answered, or when a
// listener fails.
func (w *web) wait(ctx context.Context, o Options, c *core.Core) error {
	daily := time.NewTicker(24 * time.Hour)
	defer daily.Stop()
	looks := time.NewTicker(restPause)
	defer looks.Stop()
	var memory rest
	for {
		select {
		case err := <-w.failed:
			return fmt.Errorf("listener: %w", err)
		case <-o.Reload:
			w.reload(o, c)
		case <-daily.C:
			w.reload(o, c)
		case <-looks.C:
			memory.giveBack()
		case <-ctx.Done():
			return w.drain()
		}
	}
}

// reload reads certificates again and reopens log and audit files.
func (w *web) reload(o Options, c *core.Core) {
	var failed []error
	if o.LogFile != nil {
		if err := o.LogFile.Reopen(); err != nil {
			w.log.Error("reopening the log, the old file stays in use", "error", err)
			failed = append(failed, err)
		}
	}
	for _, l := range w.listeners {
		if err := l.Reload(); err != nil {
			w.log.Error("reloading, the old one stays in use", "error", err)
			failed = append(failed, err)
		}
	}
	if err := c.Devices().Reopen(); err != nil {
		w.log.Error("reopening the audit", "error", err)
		failed = append(failed, err)
	}
	c.RecordReload(context.Background(), errors.Join(failed...))
	w.log.Info("reloaded certificates, log and audit files")
}

func (w *web) drain() error {
	w.log.Info("stopping")
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	for _, s := range w.servers {
		if err := s.Shutdown(ctx); err != nil {
			w.log.Warn("requests were still under way", "error", err)
			s.Close()
		}
	}
	return nil
}

// stop closes what serve has not.
func (w *web) stop() {
	for _, s := range w.servers {
		s.Close()
	}
	for _, l := range w.listeners {
		l.Close() // again, after a drain: it returns an error that says just that
	}
}
