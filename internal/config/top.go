package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"time"

	"github.com/cofferhq/coffer/internal/stanza"
)

// topKeys are what a file may hold outside every block.
var topKeys = keys[loading]{
	"storage":              setStorage,
	"backend":              setStorage,
	"listener":             addListeners,
	"seal":                 setSeal,
	"audit":                addAudits,
	"telemetry":            block(func(l *loading) *Telemetry { return &l.Telemetry }, telemetryKeys),
	"ha_storage":           ignored[loading]("one server owns its storage"),
	"service_registration": ignored[loading]("the server registers itself nowhere"),
	"user_lockout":         ignored[loading]("lockout is tuned on each auth mount"),
	"entropy":              ignored[loading]("random numbers come from the operating system"),

	"api_addr": as(address, func(l *loading) *string { return &l.APIAddr }),
	"cluster_addr": inert(address, func(l *loading) *string { return &l.ClusterAddr },
		func(addr string) bool { return addr != "" }, "one server has no others to talk to"),
	"cluster_name": text(func(l *loading) *string { return &l.ClusterName }),

	"default_lease_ttl": noted(duration(func(l *loading) *time.Duration { return &l.DefaultLeaseTTL })),
	"max_lease_ttl":     noted(duration(func(l *loading) *time.Duration { return &l.MaxLeaseTTL })),
	"default_max_request_duration": duration(func(l *loading) *time.Duration {
		return &l.DefaultMaxRequestDuration
	}),

	"rotation_programs": as(programs, func(l *loading) *[]string { return &l.RotationPrograms }),

	"ui": inert(value.bool, func(l *loading) *bool { return &l.UI },
		func(wanted bool) bool { return wanted }, "there is no web interface yet"),
	"pid_file":                        text(func(l *loading) *string { return &l.PIDFile }),
	"disable_mlock":                   flag(func(l *loading) *bool { return &l.DisableMlock }),
	"enable_response_header_hostname": flag(func(l *loading) *bool { return &l.ResponseHeaderHostname }),

	"log_level":            choice(func(l *loading) *slog.Level { return &l.Log.Level }, logLevels),
	"log_format":           choice(func(l *loading) *LogFormat { return &l.Log.Format }, logFormats),
	"log_file":             text(func(l *loading) *string { return &l.Log.File }),
	"log_rotate_bytes":     as(notNegative(value.bytes), func(l *loading) *int64 { return &l.Log.RotateBytes }),
	"log_rotate_duration":  as(notNegative(value.duration), func(l *loading) *time.Duration { return &l.Log.RotateEvery }),
	"log_rotate_max_files": count(func(l *loading) *int { return &l.Log.RotateMaxFiles }),

	"disable_clustering":                  accepted[loading],
	"disable_performance_standby":         accepted[loading],
	"disable_sealwrap":                    accepted[loading],
	"disable_printable_check":             accepted[loading],
	"disable_indexing":                    accepted[loading],
	"disable_cache":                       ignored[loading]("answers are never older than the storage, cache or not"),
	"cache_size":                          ignored[loading]("the caches have a bounded size of their own"),
	"plugin_directory":                    ignored[loading]("there are no plugins to run"),
	"plugin_tmpdir":                       ignored[loading]("there are no plugins to run"),
	"enable_response_header_raft_node_id": ignored[loading]("there is no raft node"),

	"raw_storage_endpoint": refused[loading]("what the storage holds is never given away"),
}

var telemetryKeys = keys[Telemetry]{
	"prometheus_retention_time": retention,
	"disable_hostname": inert(value.bool, func(*Telemetry) *bool { return new(bool) },
		func(disabled bool) bool { return !disabled }, "the names of metrics never hold the host's"),
	"enable_hostname_label":  ignored[Telemetry]("the scraper adds the label"),
	"usage_gauge_period":     ignored[Telemetry]("gauges are computed when they are asked for"),
	"statsd_address":         ignored[Telemetry]("metrics are scraped, not sent"),
	"statsite_address":       ignored[Telemetry]("metrics are scraped, not sent"),
	"dogstatsd_addr":         ignored[Telemetry]("metrics are scraped, not sent"),
	"circonus_api_token":     ignored[Telemetry]("metrics are scraped, not sent"),
	"stackdriver_project_id": ignored[Telemetry]("metrics are scraped, not sent"),
}

// logLevels are Vault's words for them.
var logLevels = map[string]slog.Level{
	"trace": LevelTrace, "debug": slog.LevelDebug, "info": slog.LevelInfo,
	"warn": slog.LevelWarn, "error": slog.LevelError,
}

var logFormats = map[string]LogFormat{"standard": LogStandard, "json": LogJSON}

// retention reads how long Prometheus's form of the metrics is kept, of which only
// zero means something here: that there is none.
func retention(s scope, t *Telemetry, e stanza.Entry) error {
	d, err := value(e.Value).duration()
	if err != nil {
		return err
	}
	if t.NoPrometheus = d == 0; !t.NoPrometheus {
		s.warn(e.Line, e.Key, "has no effect unless it is 0: metrics are shown as long as the server runs", "")
	}
	return nil
}

// notNegative is read for what cannot be below zero.
func notNegative[V int64 | time.Duration](read func(value) (V, error)) func(value) (V, error) {
	return func(v value) (V, error) {
		got, err := read(v)
		if err == nil && got < 0 {
			err = errors.New("cannot be negative")
		}
		return got, err
	}
}

// programs reads a list of absolute paths. Whether there is something there is seen
// when it is needed.
func programs(v value) ([]string, error) {
	paths, err := v.texts()
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if !filepath.IsAbs(path) || filepath.Clean(path) != path {
			return nil, fmt.Errorf("expected absolute paths such as \"/usr/local/bin/rotate-token\", got %q", path)
		}
	}
	return paths, nil
}

// address reads the URL of a server, without a path.
func address(v value) (string, error) {
	s, err := v.plain()
	if err != nil {
		return "", err
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return "", errors.New(`expected a URL such as "https://coffer.example.com:8200"`)
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("expected a URL without a path")
	}
	return fmt.Sprintf("%s://%s", u.Scheme, u.Host), nil
}

// noted remembers where a key was set, for a check of the whole.
func noted(set setter[loading]) setter[loading] {
	return func(s scope, l *loading, e stanza.Entry) error {
		l.note(s, e.Key, e.Line)
		return set(s, l, e)
	}
}
