package config

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// everything is a file with every key that means something, and everythingJSON
// the same in JSON.
const everything = `
# One machine, two ways in.
storage "pebble" {
  path       = "/var/lib/coffer"
  cache_size = "64MiB"
}

seal "keyfile" {
  path = "/etc/coffer/unseal.key"
}

listener "tcp" {
  address         = "0.0.0.0:8200"
  tls_cert_file   = "/etc/coffer/tls/cert.pem"
  tls_key_file    = "/etc/coffer/tls/key.pem"
  tls_min_version = "tls13"
  tls_client_ca_file = "/etc/coffer/tls/clients.pem"
  tls_require_and_verify_client_cert = "true"

  x_forwarded_for_authorized_addrs      = ["10.1.2.3/8", "192.0.2.7"]
  x_forwarded_for_hop_skips             = 1
  x_forwarded_for_reject_not_present    = false
  x_forwarded_for_reject_not_authorized = "0"

  max_request_size         = 1048576
  max_request_duration     = "30s"
  max_connections          = 500
  http_read_timeout        = 20
  http_read_header_timeout = "5s"
  http_write_timeout       = "1m"
  http_idle_timeout        = "2m"

  telemetry {
    unauthenticated_metrics_access = true
  }
  disable_unauthed_rekey_endpoints = true
}

listener "unix" {
  address      = "/run/coffer.sock"
  socket_mode  = "0660"
  socket_group = "app"
}

audit "file" "main/" {
  description = "all of it"
  options = { file_path = "/var/log/coffer/audit.log", hmac_accessor = true }
}

telemetry {
  prometheus_retention_time = "0"
  disable_hostname          = true
}

api_addr     = "https://coffer.example.com:8200/"
cluster_name = "main"
default_lease_ttl = "1d"
max_lease_ttl     = 172800
default_max_request_duration = "60s"
rotation_programs = ["/usr/local/bin/rotate-token", "/opt/rotate"]
ui        = false
log_level = "Debug"
log_format = "json"
log_file  = "/var/log/coffer.log"
log_rotate_bytes     = "10mb"
log_rotate_duration  = "12h"
log_rotate_max_files = 5
pid_file  = "/run/coffer.pid"
disable_mlock = true
enable_response_header_hostname = true
disable_performance_standby = true
`

const everythingJSON = `{
"storage": {"pebble": {"path": "/var/lib/coffer", "cache_size": 67108864}},
"seal": [{"keyfile": {"path": "/etc/coffer/unseal.key"}}],
"listener": [
  {"tcp": {
    "address": "0.0.0.0:8200",
    "tls_cert_file": "/etc/coffer/tls/cert.pem", "tls_key_file": "/etc/coffer/tls/key.pem",
    "tls_min_version": "tls13", "tls_client_ca_file": "/etc/coffer/tls/clients.pem",
    "tls_require_and_verify_client_cert": true,
    "x_forwarded_for_authorized_addrs": "10.1.2.3/8, 192.0.2.7",
    "x_forwarded_for_hop_skips": 1,
    "x_forwarded_for_reject_not_present": false,
    "x_forwarded_for_reject_not_authorized": "false",
    "max_request_size": "1MiB", "max_request_duration": 30, "max_connections": "500",
    "http_read_timeout": "20s", "http_read_header_timeout": 5,
    "http_write_timeout": 60, "http_idle_timeout": 120,
    "telemetry": {"unauthenticated_metrics_access": true},
    "disable_unauthed_rekey_endpoints": true}},
  {"type": "unix", "address": "/run/coffer.sock", "socket_mode": "660", "socket_group": "app"}
],
"audit": {"file": {"main": {"description": "all of it",
  "options": {"file_path": "/var/log/coffer/audit.log", "hmac_accessor": true}}}},
"telemetry": {"prometheus_retention_time": 0, "disable_hostname": true},
"api_addr": "https://coffer.example.com:8200", "cluster_name": "main",
"default_lease_ttl": "24h", "max_lease_ttl": "48h", "default_max_request_duration": 60,
"rotation_programs": "/usr/local/bin/rotate-token, /opt/rotate",
"ui": false, "log_level": "debug", "log_format": "json", "log_file": "/var/log/coffer.log",
"log_rotate_bytes": 10000000, "log_rotate_duration": "12h", "log_rotate_max_files": 5,
"pid_file": "/run/coffer.pid", "disable_mlock": true, "enable_response_header_hostname": true,
"cluster_addr": null
}`

func wantEverything() *Config {
	return &Config{
		Storage: Storage{Kind: Pebble, Path: "/var/lib/coffer", CacheBytes: 64 << 20},
		Seal:    Seal{Kind: KeyFile, Path: "/etc/coffer/unseal.key"},
		Listeners: []Listener{{
			Network: TCP,
			Address: "0.0.0.0:8200",
			TLS: TLS{
				CertFile: "/etc/coffer/tls/cert.pem", KeyFile: "/etc/coffer/tls/key.pem",
				MinVersion: tls.VersionTLS13, ClientCAFile: "/etc/coffer/tls/clients.pem",
				RequireClientCert: true,
			},
			Forwarded: Forwarded{
				Proxies:      []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32")},
				HopSkips:     1,
				AcceptAbsent: true, AcceptUnauthorized: true,
			},
			MaxRequestBytes: 1 << 20, MaxRequestDuration: 30 * time.Second, MaxConnections: 500,
			ReadTimeout: 20 * time.Second, ReadHeaderTimeout: 5 * time.Second,
			WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
			UnauthenticatedMetrics: true, DisableUnauthedRekey: true,
		}, {
			Network: Unix,
			Address: "/run/coffer.sock",
			Socket:  Socket{Mode: 0o660, Group: "app"},
			TLS:     TLS{Disabled: true},
		}},
		Audits: []Audit{{
			Type: "file", Path: "main", Description: "all of it",
			Options: map[string]string{"file_path": "/var/log/coffer/audit.log", "hmac_accessor": "true"},
		}},
		Telemetry: Telemetry{NoPrometheus: true},
		Log: Log{
			Level: slog.LevelDebug, Format: LogJSON, File: "/var/log/coffer.log",
			RotateBytes: 10e6, RotateEvery: 12 * time.Hour, RotateMaxFiles: 5,
		},
		APIAddr: "https://coffer.example.com:8200", ClusterName: "main",
		DefaultLeaseTTL: 24 * time.Hour, MaxLeaseTTL: 48 * time.Hour,
		DefaultMaxRequestDuration: time.Minute,
		RotationPrograms:          []string{"/usr/local/bin/rotate-token", "/opt/rotate"},
		PIDFile:                   "/run/coffer.pid", DisableMlock: true, ResponseHeaderHostname: true,
	}
}

var comparePrefix = cmpopts.EquateComparable(netip.Prefix{})

func TestEveryKeyIsReadInBothSyntaxes(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"server.hcl", everything},
		{"server.json", everythingJSON},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, warnings, err := Parse(tt.name, []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if len(warnings) > 0 {
				t.Errorf("warnings: %v", warnings)
			}
			if diff := cmp.Diff(wantEverything(), got, comparePrefix); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestProblemsNameTheirLineAndField(t *testing.T) {
	for _, tt := range []struct {
		name string
		text string
		want []string // each problem, without the file
	}{
		{
			"a text without quotes",
			"ui = maybe_not\n",
			[]string{`1: expected a value: a text in quotes, a number, true or false, a list or a block`},
		},
		{
			"every wrong field is reported, not the first one only",
			"ui = \"perhaps\"\ndefault_lease_ttl = \"soon\"\nlog_level = \"loud\"\nlog_rotate_bytes = \"much\"\n" +
				"log_rotate_duration = \"soon\"\ncluster_addr = \"b\"\ntelemetry {\n prometheus_retention_time = \"long\"\n}\n",
			[]string{
				`1: ui: expected true or false`,
				`2: default_lease_ttl: expected a duration such as 90, "90s", "1h30m" or "1d"`,
				`3: log_level: expected debug, error, info, trace or warn`,
				`4: log_rotate_bytes: expected a size such as 1048576 or "64MiB"`,
				`5: log_rotate_duration: expected a duration such as 90, "90s", "1h30m" or "1d"`,
				`6: cluster_addr: expected a URL such as "https://coffer.example.com:8200"`,
				`8: telemetry.prometheus_retention_time: expected a duration such as 90, "90s", "1h30m" or "1d"`,
			},
		},
		{
			"programs are named by absolute paths", "rotation_programs = [\"/opt/ok\", \"rotate\"]\n",
			[]string{`1: rotation_programs: expected absolute paths such as "/usr/local/bin/rotate-token", got "rotate"`},
		},
		{
			"a program's path goes no way round", `rotation_programs = "/opt/../tmp/x"`,
			[]string{`1: rotation_programs: expected absolute paths such as "/usr/local/bin/rotate-token", got "/opt/../tmp/x"`},
		},
		{
			"a log file has no negative size", "log_rotate_bytes = -1", []string{`1: log_rotate_bytes: cannot be negative`},
		},
		{
			"a storage of Vault's is not there",
			"storage \"raft\" {\n  path = \"/vault\"\n}",
			[]string{`1: storage: there is no storage "raft": it is "inmem" or "pebble"`},
		},
		{"a storage needs its path", `storage "pebble" {}`, []string{`1: storage "pebble".path: the folder of the data must be given`}},
		{
			"two storages under both names",
			"storage \"inmem\" {}\nbackend \"inmem\" {}",
			[]string{`2: backend: there can be only one`},
		},
		{"a storage without a label", `storage = "inmem"`, []string{`1: storage: expected a block in braces`}},
		{"a seal of Vault's is not there", `seal "awskms" {}`, []string{`1: seal: there is no seal "awskms": it is "keyfile" or "shamir"`}},
		{
			"the key must not lie beside what it unlocks",
			"storage \"pebble\" { path = \"/data/\" }\nseal \"keyfile\" {\n path = \"/data/keys/../unseal\"\n}",
			[]string{`2: seal: the key lies in the folder of the data: who copies that has both`},
		},
		{"a listener of another kind", `listener "quic" {}`, []string{`1: listener "quic": there is no listener "quic": it is "tcp" or "unix"`}},
		{
			"a listener that contradicts itself",
			"listener \"tcp\" {\n address = \"8200\"\n tls_cert_file = \"c\"\n tls_min_version = \"tls11\"\n" +
				" tls_require_and_verify_client_cert = true\n tls_disable_client_certs = true\n}",
			[]string{
				`1: listener "tcp".tls_key_file: a certificate needs its key`,
				`1: listener "tcp".tls_disable_client_certs: contradicts tls_require_and_verify_client_cert`,
				`2: listener "tcp".address: expected an address such as "127.0.0.1:8200"`,
				`4: listener "tcp".tls_min_version: tls11 is no longer safe`,
			},
		},
		{
			"versions in the wrong order",
			`listener "tcp" { tls_min_version = "tls13" tls_max_version = "tls12" }`,
			[]string{`1: listener "tcp".tls_max_version: is below tls_min_version`},
		},
		{
			"two listeners on one address",
			"listener \"tcp\" {}\nlistener \"tcp\" {}",
			[]string{`2: listener "tcp".address: another listener has this address`},
		},
		{
			"a socket needs a path and sane permissions",
			"listener \"unix\" {\n socket_mode = \"0999\"\n}",
			[]string{
				`1: listener "unix".address: the path of the socket must be given`,
				`2: listener "unix".socket_mode: expected permissions in octal digits, such as "0660"`,
			},
		},
		{
			"what would weaken a listener is refused",
			`listener "tcp" { proxy_protocol_behavior = "use_always" }`,
			[]string{`1: listener "tcp".proxy_protocol_behavior: is not supported: have the proxy send X-Forwarded-For, and name it in x_forwarded_for_authorized_addrs`},
		},
		{
			"a proxy that is no address",
			`listener "tcp" { x_forwarded_for_authorized_addrs = ["proxy.example.com"] }`,
			[]string{`1: listener "tcp".x_forwarded_for_authorized_addrs: expected addresses or networks such as "10.0.0.0/8", got "proxy.example.com"`},
		},
		{"raw storage is asked for", `raw_storage_endpoint = true`, []string{`1: raw_storage_endpoint: is not supported: what the storage holds is never given away`}},
		{"an address that is no URL", `api_addr = "{{ GetPrivateIP }}"`, []string{`1: api_addr: expected a URL such as "https://coffer.example.com:8200"`}},
		{"an address with a path", `api_addr = "https://a/b"`, []string{`1: api_addr: expected a URL without a path`}},
		{
			"default and maximum are swapped",
			"max_lease_ttl = \"1h\"\ndefault_lease_ttl = \"2h\"",
			[]string{`2: default_lease_ttl: is above max_lease_ttl`},
		},
		{"a field is set twice", "ui = true\nui = false", []string{`2: ui: is set in line 1 already`}},
		{"an audit device without a name", `audit "file" { path = "x" }`, []string{`1: audit "file": the device needs a name`}},
		{
			"two audit devices of one name",
			"audit \"file\" \"a\" {}\naudit \"socket\" \"a\" {}",
			[]string{`2: audit "socket" "a": another audit device has this name`},
		},
		{"a block is not closed", "listener \"tcp\" {\n  address = \"a:1\"\n", []string{`3: object expected closing RBRACE got: EOF`}},
		{"a text is not closed", "api_addr = \"https://\n", []string{`1: literal not terminated`}},
		{"JSON with text after its end", "{\n}\n{}", []string{`3: text after the end of the object`}},
		{"JSON that ends early", "{\n\"ui\":", []string{`2: the file ends before a value does`}},
		{"JSON with a missing comma", "{\"ui\": true\n\"log_file\": \"x\"}", []string{`2: malformed JSON`}},
		{"blocks too deep", "a = " + strings.Repeat("[", 100), []string{`1: nested deeper than 32 blocks`}},
		{"JSON too deep", `{"a":` + strings.Repeat("[", 100), []string{`1: nested deeper than 32 blocks`}},
		{"not a text", "ui = \"\xff\"", []string{` not a text in UTF-8`}},
		{"a null byte", "ui = true\x00", []string{` not a text in UTF-8`}},
		{"much too large", strings.Repeat("#", maxFileBytes+1), []string{` larger than 1048576 bytes`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _, err := Parse("f", []byte(tt.text))
			var all *Error
			if !errors.As(err, &all) {
				t.Fatalf("got error %v, want an *Error", err)
			}
			if c != nil {
				t.Error("a configuration came with the error")
			}
			var got []string
			for _, p := range all.Problems {
				got = append(got, strings.TrimPrefix(p.String(), "f:"))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWarningsDoNotStopAServer(t *testing.T) {
	for _, tt := range []struct {
		name, text, want, hint string
	}{
		{
			"a mistyped key", "\n\nlog_levl = \"info\"",
			"f:3: log_levl: unknown key; it is ignored", "did you mean log_level?",
		},
		{
			"a key unlike any other", `colour = "red"`,
			"f:1: colour: unknown key; it is ignored", "",
		},
		{
			"a mistyped key of a listener", `listener "tcp" { tls_client_ca_flie = "x" }`,
			`f:1: listener "tcp".tls_client_ca_flie: unknown key; it is ignored`, "did you mean tls_client_ca_file?",
		},
		{
			"a key of Vault's without effect", `plugin_directory = "/plugins"`,
			"f:1: plugin_directory: has no effect: there are no plugins to run", "",
		},
		{
			"a web interface", "ui = true",
			"f:1: ui: has no effect: there is no web interface yet", "",
		},
		{
			"an address for other servers", `cluster_addr = "https://a:8201"`,
			"f:1: cluster_addr: has no effect: one server has no others to talk to", "",
		},
		{
			"a time for which metrics are kept", `telemetry { prometheus_retention_time = "30s" }`,
			"f:1: telemetry.prometheus_retention_time: has no effect unless it is 0: metrics are shown as long as the server runs", "",
		},
		{
			"host names in metrics", `telemetry { disable_hostname = false }`,
			"f:1: telemetry.disable_hostname: has no effect: the names of metrics never hold the host's", "",
		},
		{
			"secrets in the clear", "listener \"tcp\" {\n address = \"[::]:8200\"\n tls_disable = 1\n}",
			`f:1: listener "tcp".tls_disable: secrets and tokens cross the network in the clear`,
			"leave tls_disable out: without a certificate the server makes one",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, warnings, err := Parse("f", []byte(tt.text))
			if err != nil || c == nil {
				t.Fatalf("got %v, %v", c, err)
			}
			if len(warnings) != 1 || warnings[0].String() != tt.want || warnings[0].Hint != tt.hint {
				t.Errorf("got %q, want %q with the hint %q", warnings, tt.want, tt.hint)
			}
		})
	}
}

func TestSyntaxErrorsDoNotRepeatTheText(t *testing.T) {
	_, _, err := Parse("f", []byte("api_addr = hunter2\n"))
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want an error without the word", err)
	}
}

func TestHintsStandBelowTheirProblem(t *testing.T) {
	_, _, err := Parse("f", []byte(`storage "raft" {}`))
	want := "f:1: storage: there is no storage \"raft\": it is \"inmem\" or \"pebble\"\n" +
		"  hint: storage \"pebble\" { path = \"…\" } keeps data in a folder too; it cannot read a folder of \"raft\", so give it another"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestTextsBetweenMarkersAreReadAsLines(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"plain", "cluster_name = <<EOF\n  one\ntwo\nEOF\n", "  one\ntwo\n"},
		{"indented", "cluster_name = <<-EOF\n    one\n  two\n  EOF\n", "  one\ntwo\n"},
		{"empty", "cluster_name = <<EOF\nEOF\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _, err := Parse("f", []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if c.ClusterName != tt.want {
				t.Errorf("got %q, want %q", c.ClusterName, tt.want)
			}
		})
	}
}

func TestAnEmptyFileIsAConfiguration(t *testing.T) {
	for _, text := range []string{"", "  \n# nothing\n", "{}", "\ufeff{}"} {
		c, warnings, err := Parse("f", []byte(text))
		if err != nil || len(warnings) > 0 {
			t.Fatalf("%q: %v, %v", text, warnings, err)
		}
		if diff := cmp.Diff(&Config{}, c); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestFilesOfAFolderAddUp(t *testing.T) {
	dir := folder(t, map[string]string{
		"10-base.hcl":  "disable_mlock = false\nlog_level = \"warn\"\nstorage \"inmem\" {}\nlistener \"tcp\" {}\n",
		"20-site.json": `{"disable_mlock": true, "storage": {"pebble": {"path": "/data"}}, "listener": {"tcp": {"address": "[::1]:8300"}}}`,
		"30-more.hcl~": "not for us",
		".hidden.hcl":  "not for us",
		"notes.txt":    "not for us",
	})
	c, warnings, err := Load(dir)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, %v", warnings, err)
	}
	want := &Config{
		DisableMlock: true, Log: Log{Level: slog.LevelWarn},
		Storage:   Storage{Kind: Pebble, Path: "/data"},
		Listeners: []Listener{{Network: TCP, Address: DefaultAddress}, {Network: TCP, Address: "[::1]:8300"}},
	}
	if diff := cmp.Diff(want, c, comparePrefix); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestProblemsOfAllFilesAreReported(t *testing.T) {
	dir := folder(t, map[string]string{
		"a.hcl": "ui = \"perhaps\"\n",
		"b.hcl": "{",
		"c.hcl": "\nlog_format = \"xml\"\nlistner \"tcp\" {}\n",
	})
	gone := filepath.Join(dir, "gone.hcl")
	_, warnings, err := Load(dir, gone)
	want := filepath.Join(dir, "a.hcl") + ":1: ui: expected true or false\n" +
		filepath.Join(dir, "b.hcl") + ":1: the file ends before a value does\n" +
		filepath.Join(dir, "c.hcl") + ":2: log_format: expected json or standard\n" +
		gone + ": no such file or directory"
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
	if len(warnings) != 1 || warnings[0].Hint != "did you mean listener?" {
		t.Errorf("warnings: %+v", warnings)
	}
}

func TestAFolderWithoutFilesIsAProblem(t *testing.T) {
	if _, _, err := Load(t.TempDir()); err == nil {
		t.Error("got no error")
	}
}

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
