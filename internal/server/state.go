package server

import (
	"context"
	"log/slog"

	"github.com/cofferhq/coffer/internal/config"
)

// state tells how the server is configured, under the names that Vault has for
// it. Where keys, certificates and data lie, and the options of storage, seal and
// audit devices, are not told.
func state(o Options) any {
	c := o.Config
	var listeners []map[string]any
	for _, l := range c.Listeners {
		listeners = append(listeners, map[string]any{
			"type":   string(l.Network),
			"config": map[string]any{"address": l.Address, "tls_disable": l.TLS.Disabled},
		})
	}
	return map[string]any{
		"api_addr": c.APIAddr, "cluster_name": c.ClusterName,
		"default_lease_ttl":            int64(c.DefaultLeaseTTL.Seconds()),
		"max_lease_ttl":                int64(c.MaxLeaseTTL.Seconds()),
		"default_max_request_duration": int64(c.DefaultMaxRequestDuration.Seconds()),
		"disable_mlock":                c.DisableMlock,
		"log_format":                   string(c.Log.Format),
		"log_level":                    levelName(o.Log),
		"pid_file":                     c.PIDFile,
		"listeners":                    listeners,
		"seals":                        []map[string]any{{"type": sealName(c.Seal.Kind), "disabled": false}},
		"storage":                      map[string]any{"type": string(c.Storage.Kind)},
	}
}

func sealName(k config.SealKind) string {
	if k == config.Shamir {
		return "shamir"
	}
	return string(k)
}

// levelName is the level that is in force, as the configuration writes it: a flag
// may have chosen another.
func levelName(log *slog.Logger) string {
	for _, l := range []struct {
		level slog.Level
		name  string
	}{{config.LevelTrace, "trace"}, {slog.LevelDebug, "debug"}, {slog.LevelInfo, "info"}, {slog.LevelWarn, "warn"}} {
		if log.Enabled(context.Background(), l.level) {
			return l.name
		}
	}
	return "error"
}
