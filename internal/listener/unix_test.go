package listener

import (
	"context"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/cofferhq/coffer/internal/config"
)

func unixAt(path string, who config.Socket) config.Listener {
	return config.Listener{
		Network: config.Unix, Address: path, Socket: who, TLS: config.TLS{Disabled: true},
	}
}

func TestASocketServesAndHasItsPermissions(t *testing.T) {
	for _, tt := range []struct {
		name string
		who  config.Socket
		want fs.FileMode
	}{
		{"only the server by default", config.Socket{}, 0o600},
		{"as configured, whatever the umask", config.Socket{Mode: 0o666}, 0o666},
		{"of a group by its number", config.Socket{Mode: 0o660, Group: strconv.Itoa(os.Getgid())}, 0o660},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			l := open(t, unixAt(path, tt.who), Options{})
			serve(t, l)
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != tt.want {
				t.Errorf("got %v, %v; want %v", info.Mode(), err, tt.want)
			}
			tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", path)
			}}
			defer tr.CloseIdleConnections()
			if got := get(t, &http.Client{Transport: tr}, "http://coffer/"); got != "HTTP/1.1" {
				t.Errorf("got %q", got)
			}
			if l.URL() != "unix://"+path || l.Addr().String() != path {
				t.Errorf("URL is %s, address %s", l.URL(), l.Addr())
			}
			addr, err := l.ClientAddr(httptest.NewRequest("GET", "/", nil))
			if err != nil || addr.IsValid() {
				t.Errorf("the client is at %v, %v; want nowhere", addr, err)
			}
		})
	}
}

func TestASocketThatIsLeftBehindIsReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	old.Close()

	l := open(t, unixAt(path, config.Socket{}), Options{})
	serve(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("after closing there is %v", left)
	}
}

func TestNothingElseIsReplaced(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(t *testing.T, path string)
	}{
		{"a file", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"a folder", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}},
		{"another server's socket", func(t *testing.T, path string) {
			open(t, unixAt(path, config.Socket{}), Options{})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			tt.make(t, path)
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if l, err := Open(unixAt(path, config.Socket{}), Options{}); err == nil {
				l.Close()
				t.Error("got no error")
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("it was replaced: %v", err)
			}
		})
	}
}

func TestASocketOfAnotherIsNotRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := open(t, unixAt(path, config.Socket{}), Options{})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other := open(t, unixAt(path, config.Socket{}), Options{})
	l.Close()
	if _, err := os.Stat(other.Addr().String()); err != nil {
		t.Error(err)
	}
}

func TestAGroupThatIsNotThereIsAnError(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(unixAt(filepath.Join(dir, "s"), config.Socket{Group: "no such group"}), Options{})
	if err == nil {
		l.Close()
		t.Error("got no error")
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("there is %v", left)
	}
}
