package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/cofferhq/coffer/internal/config"
	"github.com/cofferhq/coffer/internal/core"
	"github.com/cofferhq/coffer/internal/server"
	"github.com/cofferhq/coffer/internal/version"
	"github.com/cofferhq/coffer/redact"
)

func serverCommand() Command {
	return Command{
		Name: "server", Short: "Start a server",
		Long: `Starts a server and runs it until it is interrupted (SIGINT, SIGTERM). SIGHUP
reads certificates again and reopens log and audit files.

Without -config it is a good server for one machine: it initializes an empty
data folder, unseals itself with a key file outside of that folder, and never
initializes over existing data. The first root token goes to the terminal, or
to a file that only its user can read.

  Try out: in memory, no TLS, KV version 2 at secret/:

      $ coffer server -dev -dev-root-token-id=root

  Run on this machine, data below ~/.local/share/coffer (root: /var/lib/coffer):

      $ coffer server

  Serve other machines, with a certificate that the server makes:

      $ coffer server -listen=0.0.0.0:8200

  Run with a configuration, with the names that Vault's has:

      $ coffer server -config=/etc/coffer/coffer.hcl`,
		New: newServer,
	}
}

type serverFlags struct {
	configs                   *[]string
	data, listen, keyFile     *string
	logLevel, logFormat, file *string
	dev, devV1, devNoStore    *bool
	devToken, devListen       *string
	given                     func(flag string) bool
}

func newServer(f *Flags) Run { return declareServer(f).run }

func declareServer(f *Flags) *serverFlags {
	return &serverFlags{
		configs:    f.List("config", "File, or folder of *.hcl and *.json, with the configuration."),
		data:       f.String("data", "", "Data folder of a server without -config."),
		listen:     f.String("listen", "", "Address of a server without -config; one that others reach is served with TLS. Default: 127.0.0.1:8200."),
		keyFile:    f.String("key-file", "", "Unseal key of a server without -config; it must lie outside of the data folder."),
		logLevel:   f.String("log-level", "", "trace, debug, info, warn or error."),
		logFormat:  f.Choice("log-format", "", []string{"", "standard", "json"}, "Form of the log."),
		file:       f.String("log-file", "", "File of the log. Default: standard error."),
		dev:        f.Bool("dev", false, "Start a server for trying out; all is gone when it ends."),
		devV1:      f.Bool("dev-kv-v1", false, "Mount KV version 1 at secret/ of a -dev server."),
		devNoStore: f.Bool("dev-no-store-token", false, "Do not write the root token of a -dev server to ~/.vault-token."),
		devToken:   f.String("dev-root-token-id", "", "Root token of a -dev server. Default: VAULT_DEV_ROOT_TOKEN_ID, or a random one."),
		devListen:  f.String("dev-listen-address", "", "Address of a -dev server. Default: VAULT_DEV_LISTEN_ADDRESS, or 127.0.0.1:8200."),
		given:      f.Given,
	}
}

// flagsOf are the flags that only one way to start a server has. What a server
// started another way would ignore is refused: it was meant to have an effect.
var flagsOf = []struct {
	flags []string
	fits  func(dev, configured bool) bool
	why   string
	hint  string
}{
	{
		[]string{"data", "key-file"}, func(dev, _ bool) bool { return !dev },
		"-%s is not for a -dev server, which keeps everything in memory", "Leave -dev out to keep data.",
	},
	{
		[]string{"listen"}, func(dev, _ bool) bool { return !dev },
		"-%s is not for a -dev server", "-dev-listen-address says where that listens.",
	},
	{
		[]string{"config"}, func(dev, _ bool) bool { return !dev },
		"-%s is not for a -dev server, which is made without a configuration", "Leave out one of the two.",
	},
	{
		[]string{"data", "listen", "key-file"}, func(_, configured bool) bool { return !configured },
		"-%s is not for a server with -config", "Say it in the configuration: storage, listener and seal are there.",
	},
	{
		[]string{"dev-root-token-id", "dev-listen-address", "dev-kv-v1", "dev-no-store-token"}, func(dev, _ bool) bool { return dev },
		"-%s is for a -dev server", "Add -dev.",
	},
}

func (o *serverFlags) checkFlags() error {
	for _, rule := range flagsOf {
		for _, name := range rule.flags {
			if o.given(name) && !rule.fits(*o.dev, len(*o.configs) > 0) {
				return &failure{code: exitLocal, text: fmt.Sprintf(rule.why, name), hint: rule.hint}
			}
		}
	}
	return nil
}

func (o *serverFlags) run(ctx context.Context, c *Call) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)

	if err := o.checkFlags(); err != nil {
		return err
	}
	cfg, folders, err := o.config(c)
	if err != nil {
		return local(err)
	}
	level, err := o.level(c, &cfg.Log)
	if err != nil {
		return local(err)
	}
	known := redact.New()
	known.Set(redact.Secret("root token", o.rootToken(c))) // no warning: only a -dev server is given one, a short one often
	log, file, err := o.logger(c, &cfg.Log, level, known)
	if err != nil {
		return local(err)
	}
	if file != nil {
		defer file.Close()
	}
	opts := server.Options{
		Config: cfg, Log: log, LogLevel: level, LogFile: file, Reload: reload, Dev: *o.dev, DevKVv1: *o.devV1,
		SelfInit: len(*o.configs) == 0, RootToken: o.rootToken(c),
	}
	failed := make(chan error, 1) // what keeps the first keys from reaching anyone
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opts.Ready = func(s server.Started) {
		if err := o.greet(c, cfg, folders, s); err != nil {
			failed <- err
			cancel()
		}
	}
	err = server.Run(ctx, opts)
	select {
	case cause := <-failed:
		err = errors.Join(cause, err)
	default:
	}
	return local(err)
}

func (o *serverFlags) rootToken(c *Call) string {
	if *o.devToken != "" || !*o.dev {
		return *o.devToken
	}
	return c.setting("DEV_ROOT_TOKEN_ID")
}

// config is what the server is to be: for trying out, as configured, or the good
// server of one machine.
func (o *serverFlags) config(c *Call) (*config.Config, config.Folders, error) {
	folders, folderErr := config.FoldersOf(os.Geteuid() == 0, c.Getenv)
	if *o.dev {
		return o.devConfig(c), folders, nil
	}
	if len(*o.configs) > 0 {
		cfg, warnings, err := config.Load(*o.configs...)
		for _, w := range warnings {
			c.Warn("WARNING: " + w.String())
			if w.Hint != "" {
				c.Warn("  " + w.Hint)
			}
		}
		if err != nil {
			return nil, folders, err
		}
		if folderErr == nil {
			cfg.Complete(config.Default(folders, ""))
		}
		o.fromEnvironment(c, cfg)
		return cfg, folders, nil
	}
	if *o.data != "" {
		folders.Data = *o.data
	}
	if *o.keyFile != "" { // the server's own certificates go with its key
		folders.Config = filepath.Dir(*o.keyFile)
	}
	if folders.Data == "" || folders.Config == "" {
		return nil, folders, fmt.Errorf("%w: say where to keep the data with -data and the key with -key-file", folderErr)
	}
	cfg := config.Default(folders, *o.listen)
	if *o.keyFile != "" {
		cfg.Seal.Path = *o.keyFile
	}
	if within(cfg.Seal.Path, cfg.Storage.Path) {
		return nil, folders, fmt.Errorf("the unseal key %s would lie in the data folder %s, where whoever takes the data takes the key: choose another -key-file",
			cfg.Seal.Path, cfg.Storage.Path)
	}
	o.fromEnvironment(c, cfg)
	return cfg, folders, nil
}

// within says whether a path is at or below a folder.
func within(path, folder string) bool {
	rel, err := filepath.Rel(absolute(folder), absolute(path))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

func absolute(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return abs
}

func (o *serverFlags) devConfig(c *Call) *config.Config {
	address := *o.devListen
	if address == "" {
		address = c.setting("DEV_LISTEN_ADDRESS")
	}
	if address == "" {
		address = config.DefaultAddress
	}
	return &config.Config{
		Storage:   config.Storage{Kind: config.Inmem},
		Listeners: []config.Listener{{Network: config.TCP, Address: address, TLS: config.TLS{Disabled: true}}},
	}
}

func (o *serverFlags) fromEnvironment(c *Call, cfg *config.Config) {
	if addr := c.setting("API_ADDR"); addr != "" {
		cfg.APIAddr = addr
	}
	if addr := c.setting("CLUSTER_ADDR"); addr != "" {
		c.Warn("WARNING: COFFER_CLUSTER_ADDR: has no effect: one server has no others to talk to")
		cfg.ClusterAddr = addr
	}
}

// greet tells people that the server serves, and gives them what it made.
func (o *serverFlags) greet(c *Call, cfg *config.Config, folders config.Folders, s server.Started) error {
	c.Print(fmt.Sprintf("==> coffer %s serves at %s", version.Full(), strings.Join(s.URLs, " ")))
	c.Print("    Storage: " + strings.TrimSpace(string(cfg.Storage.Kind)+" "+cfg.Storage.Path))
	for _, t := range s.Trust {
		c.Print("    TLS with a certificate of its own making; clients need:")
		c.Print("        export VAULT_CACERT=" + t.CAFile)
		c.Print("    SHA-256 of the authority: " + t.Fingerprint)
	}
	switch {
	case *o.dev:
		return o.greetDev(c, s)
	case s.First != nil:
		return o.handOver(c, folders, s)
	}
	return nil
}

// greetDev prints what Vault's development server prints.
func (o *serverFlags) greetDev(c *Call, s server.Started) error {
	c.Print("\nWARNING! This is a server for trying out: everything is kept in memory, and it\n" +
		"starts unsealed. Do not run it in production.\n\nYou may need to set:\n")
	c.Print("    $ export VAULT_ADDR='" + s.URLs[0] + "'\n")
	c.Print("Unseal Key: " + base64Text(s.First.Keys[0].Reveal()))
	c.Print("Root Token: " + s.First.RootToken.RevealText() + "\n")
	if *o.devNoStore {
		return nil
	}
	if err := c.tokens().store(s.First.RootToken.RevealText()); err != nil {
		c.Warn("the root token could not be written for the CLI: " + err.Error())
	}
	return nil
}

// firstKeys is what a server that initialized itself gives to its operator.
type firstKeys struct {
	RootToken    string   `json:"root_token"`
	RecoveryKeys []string `json:"recovery_keys_base64"`
}

// handOver gives the first keys to a terminal, or to a file that only its owner
// can read: never to a log.
func (o *serverFlags) handOver(c *Call, folders config.Folders, s server.Started) error {
	if c.StdoutTTY {
		c.Print("\nInitialized. Keep these somewhere safe, they are shown once:\n")
		for _, k := range s.First.RecoveryKeys {
			c.Print("    Recovery Key: " + base64Text(k.Reveal()))
		}
		c.Print("    Root Token:   " + s.First.RootToken.RevealText() + "\n")
		return nil
	}
	path := filepath.Join(filepath.Dir(o.keyPath(folders)), "initial-keys.json")
	if err := writeKeys(path, s.First); err != nil {
		return fmt.Errorf("the first root token could not be written: %w: empty the data folder and start again", err)
	}
	c.Print("    Initialized. The first root token and the recovery key are in " + path)
	return nil
}

func (o *serverFlags) keyPath(folders config.Folders) string {
	if *o.keyFile != "" {
		return *o.keyFile
	}
	return filepath.Join(folders.Config, "unseal.key")
}

func writeKeys(path string, first *core.InitResult) error {
	keys := firstKeys{RootToken: first.RootToken.RevealText()}
	for _, k := range first.RecoveryKeys {
		keys.RecoveryKeys = append(keys.RecoveryKeys, base64Text(k.Reveal()))
	}
	text, err := json.MarshalIndent(keys, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}
