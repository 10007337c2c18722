// Package config is the configuration of a server: one file or a folder of them,
// in HCL or JSON, with the names that Vault's configuration has. It reads text
// into one struct and says everything that is wrong with it, each with its file,
// line and field; it opens nothing that the configuration names.
//
// Start reading at [Config], then [Load] and [Default].
package config

import (
	"log/slog"
	"time"
)

// Config is what a server is told at its start. Its zero value is a server that
// has been told nothing: [Config.Complete] says where it keeps its data and
// where it listens, and all else means what the fields say.
type Config struct {
	Storage   Storage
	Listeners []Listener
	Seal      Seal
	Audits    []Audit
	Telemetry Telemetry
	Log       Log

	APIAddr     string // URL at which clients reach this server; empty: made of the first listener
	ClusterAddr string // URL at which other servers would; without effect, as there are none
	ClusterName string // empty: a random name, made when the server is initialised

	DefaultLeaseTTL           time.Duration // zero: 768 h
	MaxLeaseTTL               time.Duration // zero: 768 h
	DefaultMaxRequestDuration time.Duration // zero: 90 s

	// RotationPrograms are the paths of the programs that rotations may run.
	RotationPrograms []string

	UI                     bool   // serve the web interface; without effect, as there is none
	PIDFile                string // empty: none is written
	DisableMlock           bool   // do not ask the system to keep secrets out of swap
	ResponseHeaderHostname bool   // name the host in a header of every answer
}

// StorageKind is where a server keeps its data.
type StorageKind string

// The kinds of storage.
const (
	Pebble StorageKind = "pebble" // files of this server's own
	Inmem  StorageKind = "inmem"  // gone with the process
)

// Storage is where the data is kept. The zero value leaves it to
// [Config.Complete].
type Storage struct {
	Kind       StorageKind
	Path       string // folder; Pebble only
	CacheBytes int64  // of decoded blocks; zero: the driver's own choice. Pebble only
}

// SealKind is how the root key is protected.
type SealKind string

// The kinds of seal.
const (
	Shamir  SealKind = ""        // key shares, given by people after each start
	KeyFile SealKind = "keyfile" // a key in a file: the server unseals itself
)

// Seal is what protects the root key. The zero value is [Shamir].
type Seal struct {
	Kind SealKind
	Path string // of the key; KeyFile only
}

// Audit is an audit device that is there from the start. Which options it
// takes, the device knows.
type Audit struct {
	Type        string // "file", "socket", "syslog"
	Path        string // its name, without a trailing slash
	Description string
	Options     map[string]string // never nil
}

// Telemetry is how metrics are given.
type Telemetry struct {
	// NoPrometheus is set where prometheus_retention_time is 0: no metrics in
	// Prometheus's form.
	NoPrometheus bool
}

// LogFormat is the form of the server's log.
type LogFormat string

// The forms of log.
const (
	LogStandard LogFormat = ""     // for people
	LogJSON     LogFormat = "json" // one object a line
)

// LevelTrace is below [slog.LevelDebug], as Vault's level "trace" is.
const LevelTrace = slog.Level(-8)

// Log is the server's own log, which is not the audit's.
type Log struct {
	Level  slog.Level // zero: information and worse
	Format LogFormat
	File   string // empty: standard error

	RotateBytes    int64         // size at which a new file is begun; zero: no such limit
	RotateEvery    time.Duration // age at which a new file is begun; zero: 24 h
	RotateMaxFiles int           // old files to keep; zero: all, below zero: none
}

// Complete sets what c leaves open and a server cannot be without, the storage
// and a listener, to what def has. The seal is left alone: key shares are a
// choice too.
func (c *Config) Complete(def *Config) {
	if c.Storage.Kind == "" {
		c.Storage = def.Storage
	}
	if len(c.Listeners) == 0 {
		c.Listeners = def.Listeners
	}
	for i := range c.Listeners {
		if l := &c.Listeners[i]; l.TLS.SelfSigned() && l.TLS.SelfSignedDir == "" {
			l.TLS.SelfSignedDir = selfSignedDir(def)
		}
	}
}

// selfSignedDir is where the listeners of def keep the certificates they make.
func selfSignedDir(def *Config) string {
	for _, l := range def.Listeners {
		if l.TLS.SelfSignedDir != "" {
			return l.TLS.SelfSignedDir
		}
	}
	return ""
}
