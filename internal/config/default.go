package config

import (
	"errors"
	"path/filepath"
)

// Folders are where a server keeps what it has not been told where to keep.
// What unlocks the data does not lie beside it.
type Folders struct {
	Data   string // of the storage
	Config string // of the unseal key and the server's own certificates
}

// ErrNoHome says that nothing names the user's home.
var ErrNoHome = errors.New("neither HOME nor XDG_DATA_HOME and XDG_CONFIG_HOME name a folder")

// FoldersOf returns the system's folders for root (/var/lib/coffer,
// /etc/coffer), and for everybody else those of the XDG base directory
// specification, version 0.8: below XDG_DATA_HOME and XDG_CONFIG_HOME, or
// ~/.local/share and ~/.config. getenv looks variables up, as os.Getenv does. It
// returns [ErrNoHome] if they do not say.
func FoldersOf(root bool, getenv func(string) string) (Folders, error) {
	if root {
		return Folders{Data: "/var/lib/coffer", Config: "/etc/coffer"}, nil
	}
	data, okData := userFolder(getenv, "XDG_DATA_HOME", ".local/share")
	config, okConfig := userFolder(getenv, "XDG_CONFIG_HOME", ".config")
	if !okData || !okConfig {
		return Folders{}, ErrNoHome
	}
	return Folders{Data: data, Config: config}, nil
}

// userFolder returns coffer's folder below the one that a variable names, or
// below home. The specification has relative paths ignored.
func userFolder(getenv func(string) string, variable, below string) (string, bool) {
	if dir := getenv(variable); filepath.IsAbs(dir) {
		return filepath.Join(dir, "coffer"), true
	}
	home := getenv("HOME")
	return filepath.Join(home, below, "coffer"), filepath.IsAbs(home)
}

// Default returns the configuration of a server that has none: one machine,
// which unseals itself. An address that only this machine reaches is served
// without TLS, every other with a certificate that the server makes. An empty
// address is [DefaultAddress].
func Default(f Folders, address string) *Config {
	if address == "" {
		address = DefaultAddress
	}
	return &Config{
		Storage: Storage{Kind: Pebble, Path: f.Data},
		Seal:    Seal{Kind: KeyFile, Path: filepath.Join(f.Config, "unseal.key")},
		Listeners: []Listener{{
			Network: TCP,
			Address: address,
			TLS: TLS{
				Disabled:      isLoopback(address),
				SelfSignedDir: filepath.Join(f.Config, "tls"),
			},
		}},
	}
}
