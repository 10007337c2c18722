package config

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFoldersFollowTheUserAndTheEnvironment(t *testing.T) {
	for _, tt := range []struct {
		name string
		root bool
		env  map[string]string
		want Folders
		err  error
	}{
		{
			name: "root has the system's", root: true,
			env:  map[string]string{"HOME": "/root", "XDG_DATA_HOME": "/elsewhere"},
			want: Folders{"/var/lib/coffer", "/etc/coffer"},
		},
		{
			name: "others have their home",
			env:  map[string]string{"HOME": "/home/ann"},
			want: Folders{"/home/ann/.local/share/coffer", "/home/ann/.config/coffer"},
		},
		{
			name: "or what XDG says, if it is absolute",
			env:  map[string]string{"HOME": "/home/ann", "XDG_DATA_HOME": "/data", "XDG_CONFIG_HOME": "rel"},
			want: Folders{"/data/coffer", "/home/ann/.config/coffer"},
		},
		{
			name: "which is enough without a home",
			env:  map[string]string{"XDG_DATA_HOME": "/data", "XDG_CONFIG_HOME": "/conf"},
			want: Folders{"/data/coffer", "/conf/coffer"},
		},
		{name: "but one of the two is not", env: map[string]string{"XDG_DATA_HOME": "/data"}, err: ErrNoHome},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := FoldersOf(tt.root, func(k string) string { return tt.env[k] })
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %+v, %v; want %+v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestTheDefaultProtectsEveryAddressButLoopback(t *testing.T) {
	f := Folders{Data: "/d", Config: "/c"}
	for address, plain := range map[string]bool{
		"":               true,
		"127.0.0.1:0":    true,
		"[::1]:8200":     true,
		"localhost:8200": true,
		"0.0.0.0:8200":   false,
		":8200":          false,
		"10.0.0.1:8200":  false,
		"box.local:8200": false,
	} {
		c := Default(f, address)
		if c.Listeners[0].TLS.Disabled != plain {
			t.Errorf("%q: without TLS is %v, want %v", address, !plain, plain)
		}
		if inside(c.Seal.Path, c.Storage.Path) {
			t.Errorf("the key %s lies in the data %s", c.Seal.Path, c.Storage.Path)
		}
	}
}

func TestCompleteSetsOnlyWhatIsOpen(t *testing.T) {
	def := Default(Folders{Data: "/d", Config: "/c"}, "")

	var open Config
	open.Complete(def)
	want := Config{Storage: def.Storage, Listeners: def.Listeners}
	if diff := cmp.Diff(want, open, comparePrefix); diff != "" {
		t.Errorf("of an empty configuration, -want +got:\n%s", diff)
	}

	said := Config{
		Storage:   Storage{Kind: Inmem},
		Listeners: []Listener{{Network: TCP, Address: ":1"}, {Network: TCP, Address: ":2", TLS: TLS{CertFile: "a", KeyFile: "b"}}},
	}
	said.Complete(def)
	if said.Storage.Kind != Inmem || len(said.Listeners) != 2 {
		t.Errorf("what was said is gone: %+v", said)
	}
	if got := said.Listeners[0].TLS.SelfSignedDir; got != "/c/tls" {
		t.Errorf("the certificate is kept in %q", got)
	}
	if got := said.Listeners[1].TLS.SelfSignedDir; got != "" {
		t.Errorf("a certificate that is not made is kept in %q", got)
	}
}
