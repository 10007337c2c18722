package cli

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

type initFlags struct {
	shares, threshold                 *int
	recoveryShares, recoveryThreshold *int
	status                            *bool
	pgpKeys, recoveryPGPKeys          *[]string
	rootPGPKey                        *string
}

func operatorInitCommand() Command {
	return Command{
		Name: "operator init", Flags: ClientFlags | FormatFlag,
		Short: "Initialise a new server",
		Long: `
Prints the shares of the unseal key, or the recovery key of a server that unseals
itself, and the first root token. They are printed once and kept nowhere.

  Five people, three of whom can unseal:
      $ coffer operator init
  Nobody but us:
      $ coffer operator init -key-shares=1 -key-threshold=1`,
		New: func(f *Flags) Run {
			var i initFlags
			i.shares = f.Int("key-shares", 5, "Shares to split the unseal key into.")
			f.Alias("n", "key-shares")
			i.threshold = f.Int("key-threshold", 3, "Shares needed to unseal.")
			f.Alias("t", "key-threshold")
			i.recoveryShares = f.Int("recovery-shares", 5, "Shares of the recovery key, of servers that unseal themselves.")
			i.recoveryThreshold = f.Int("recovery-threshold", 3, "Shares of the recovery key that are needed.")
			i.status = f.Bool("status", false, "Only tell whether the server is initialised: exit code 0 if so, 2 if not.")
			i.pgpKeys = f.Commas("pgp-keys", "Files with PGP keys to encrypt the shares with.")
			i.recoveryPGPKeys = f.Commas("recovery-pgp-keys", "Files with PGP keys to encrypt the recovery shares with.")
			i.rootPGPKey = f.String("root-token-pgp-key", "", "File with a PGP key to encrypt the root token with.")
			return func(ctx context.Context, c *Call) error { return runInit(ctx, c, i, f) }
		},
	}
}

func runInit(ctx context.Context, c *Call, i initFlags, f *Flags) error {
	cl, err := c.anonymous()
	if err != nil {
		return err
	}
	if *i.status {
		return initStatus(ctx, c, cl)
	}
	req, err := i.request(ctx, cl, f)
	if err != nil {
		return err
	}
	resp, err := call[api.InitResponse](ctx, cl, http.MethodPut, "sys/init", req)
	if err != nil {
		return failed(err, "initializing")
	}
	if !c.table() {
		return c.PrintValue(initOutput(req, resp))
	}
	printKeys(c, req, resp)
	return nil
}

func initStatus(ctx context.Context, c *Call, cl *client.Client) error {
	s, err := call[api.InitStatus](ctx, cl, http.MethodGet, "sys/init", nil)
	if err != nil {
		return c.localized(failed(err, "checking init status"))
	}
	if s.Initialized {
		c.Print("Coffer is initialized")
		return nil
	}
	c.Print("Coffer is not initialized")
	return silently(exitServer)
}

// request asks the server how it is sealed, as the two ways want different
// fields. Zero shares would be refused where shares are not a thing.
func (i initFlags) request(ctx context.Context, cl *client.Client, f *Flags) (*api.InitRequest, error) {
	var req api.InitRequest
	s, err := call[api.SealStatus](ctx, cl, http.MethodGet, "sys/seal-status", nil)
	if err != nil {
		return nil, failed(err, "checking seal status")
	}
	if !s.RecoverySeal || f.Given("key-shares") || f.Given("n") {
		req.SecretShares = *i.shares
	}
	if !s.RecoverySeal || f.Given("key-threshold") || f.Given("t") {
		req.SecretThreshold = *i.threshold
	}
	if s.RecoverySeal || f.Given("recovery-shares") {
		req.RecoveryShares = *i.recoveryShares
	}
	if s.RecoverySeal || f.Given("recovery-threshold") {
		req.RecoveryThreshold = *i.recoveryThreshold
	}
	for _, k := range []struct {
		files []string
		to    *[]string
	}{{*i.pgpKeys, &req.PGPKeys}, {*i.recoveryPGPKeys, &req.RecoveryPGPKeys}} {
		if *k.to, err = readPGPKeys(k.files); err != nil {
			return nil, local(err)
		}
	}
	if *i.rootPGPKey != "" {
		keys, err := readPGPKeys([]string{*i.rootPGPKey})
		if err != nil {
			return nil, local(err)
		}
		req.RootTokenPGPKey = keys[0]
	}
	return &req, nil
}

// readPGPKeys returns binary keys as base64, and leaves texts as they are.
func readPGPKeys(files []string) ([]string, error) {
	var keys []string
	for _, name := range files {
		b, err := os.ReadFile(strings.TrimPrefix(name, "@"))
		if err != nil {
			return nil, err
		}
		if _, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(b))); err == nil {
			keys = append(keys, strings.TrimSpace(string(b)))
			continue
		}
		keys = append(keys, base64.StdEncoding.EncodeToString(b))
	}
	return keys, nil
}

// initJSON is what the formats other than table print.
type initJSON struct {
	UnsealKeysB64         []string `json:"unseal_keys_b64"`
	UnsealKeysHex         []string `json:"unseal_keys_hex"`
	UnsealShares          int      `json:"unseal_shares"`
	UnsealThreshold       int      `json:"unseal_threshold"`
	RecoveryKeysB64       []string `json:"recovery_keys_b64"`
	RecoveryKeysHex       []string `json:"recovery_keys_hex"`
	RecoveryKeysShares    int      `json:"recovery_keys_shares"`
	RecoveryKeysThreshold int      `json:"recovery_keys_threshold"`
	RootToken             string   `json:"root_token"`
}

func initOutput(req *api.InitRequest, resp *api.InitResponse) initJSON {
	return initJSON{
		UnsealKeysB64: orEmpty(resp.KeysBase64), UnsealKeysHex: orEmpty(resp.Keys),
		UnsealShares: req.SecretShares, UnsealThreshold: req.SecretThreshold,
		RecoveryKeysB64: orEmpty(resp.RecoveryKeysBase64), RecoveryKeysHex: orEmpty(resp.RecoveryKeys),
		RecoveryKeysShares: req.RecoveryShares, RecoveryKeysThreshold: req.RecoveryThreshold,
		RootToken: resp.RootToken,
	}
}

// orEmpty makes a list that is missing an empty one: scripts index it.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func printKeys(c *Call, req *api.InitRequest, resp *api.InitResponse) {
	for i, k := range resp.KeysBase64 {
		c.Print(fmt.Sprintf("Unseal Key %d: %s", i+1, k))
	}
	for i, k := range resp.RecoveryKeysBase64 {
		c.Print(fmt.Sprintf("Recovery Key %d: %s", i+1, k))
	}
	c.Print("\nInitial Root Token: " + resp.RootToken + "\n")
	if len(resp.KeysBase64) > 0 {
		c.Print(fmt.Sprintf(`Coffer is initialized with %d key shares, of which %d unseal it. Give each share to
someone else, and keep them safe: the server does not have them, and without %[2]d of
them nobody can read what it stores after its next start.`, req.SecretShares, req.SecretThreshold))
		return
	}
	c.Print(fmt.Sprintf(`Coffer is initialized and unseals itself. The recovery key, in %d shares of which %d
are needed, authorises what its operators must agree on, such as a new root token.`, req.RecoveryShares, req.RecoveryThreshold))
}
