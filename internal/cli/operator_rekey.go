package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

type rekeyFlags struct {
	ceremony
	verify            *bool
	shares, threshold *int
	pgpKeys           *[]string
}

func operatorRekeyCommand() Command {
	return Command{
		Name: "operator rekey", Args: "[KEY]", MaxArgs: 1, Flags: ClientFlags | FormatFlag,
		Short: "Replace the unseal key by one with other shares",
		Long: `
As many holders of a share as are needed to unseal give theirs; the answer to the
last one has the new shares, which are shown once. With -verify they must be given
back, as many as are needed, before they replace the old ones: so no share is lost
on its way. Without KEY the share is asked for, and not shown; - reads it from the
standard input. A server that unseals itself has no shares to replace.

  Begin:
      $ coffer operator rekey -init -key-shares=5 -key-threshold=3 -verify
  Give an old share; everybody in turn:
      $ coffer operator rekey
  Give a new one back:
      $ coffer operator rekey -verify`,
		New: func(f *Flags) Run {
			o := &rekeyFlags{ceremony: declareCeremony(f, "to replace the unseal key")}
			o.verify = f.Bool("verify", false, "With -init: the new shares must be given back. Else: the call is about that.")
			o.shares = f.Int("key-shares", 5, "Shares to split the new key into.")
			f.Alias("n", "key-shares")
			o.threshold = f.Int("key-threshold", 3, "Shares of the new key needed to unseal.")
			f.Alias("t", "key-threshold")
			o.pgpKeys = f.Commas("pgp-keys", "Files with PGP keys to encrypt the new shares with.")
			f.Choice("target", "barrier", []string{"barrier"}, "Which key: there is only the one.")
			return o.run
		},
	}
}

func (o *rekeyFlags) run(ctx context.Context, c *Call) error {
	if err := oneOf(map[string]bool{"init": *o.start, "cancel": *o.cancel, "status": *o.status}); err != nil {
		return err
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	switch {
	case *o.start:
		return o.begin(ctx, c, cl)
	case *o.verify:
		return o.verification(ctx, c, cl)
	case *o.cancel:
		return cancelCeremony(ctx, c, cl, "sys/rekey/init", "canceling rekey", "Canceled rekeying (if it was started)")
	}
	status, err := call[api.Rekey](ctx, cl, http.MethodGet, "sys/rekey/init", nil)
	if err != nil {
		return failed(err, "getting rekey status")
	}
	switch {
	case *o.status:
		return c.printRekey(status)
	case !status.Started:
		return noRekey("No rekey is in progress")
	case status.VerificationNonce != "":
		return &failure{
			code: exitLocal, text: "The new shares are out and must be given back",
			hint: fmt.Sprintf("Give one with \"%s operator rekey -verify\".", program),
		}
	}
	return o.give(ctx, c, cl, status.Nonce)
}

func noRekey(text string) error {
	return &failure{code: exitLocal, text: text, hint: fmt.Sprintf("Begin one with \"%s operator rekey -init\".", program)}
}

func (o *rekeyFlags) begin(ctx context.Context, c *Call, cl *client.Client) error {
	if err := c.noKey(); err != nil {
		return err
	}
	pgp, err := readPGPKeys(*o.pgpKeys)
	if err != nil {
		return local(err)
	}
	status, err := call[api.Rekey](ctx, cl, http.MethodPut, "sys/rekey/init", struct {
		Shares    int      `json:"secret_shares"`
		Threshold int      `json:"secret_threshold"`
		PGPKeys   []string `json:"pgp_keys,omitempty"`
		Verify    bool     `json:"require_verification"`
	}{*o.shares, *o.threshold, pgp, *o.verify})
	if err != nil {
		return failed(err, "initializing rekey")
	}
	if c.table() && !status.VerificationRequired {
		c.Warn("WARNING! The new shares count as soon as they are shown: whoever loses them then loses\n" +
			"what is stored. With -verify they must be given back first.\n")
	}
	return c.printRekey(status)
}

func (o *rekeyFlags) give(ctx context.Context, c *Call, cl *client.Client, underWay string) error {
	share, err := c.keyShare(*o.nonce, underWay)
	if err != nil {
		return err
	}
	raw, err := call[json.RawMessage](ctx, cl, http.MethodPut, "sys/rekey/update", share)
	if err != nil {
		return failed(err, "posting unseal key")
	}
	var done api.RekeyUpdate
	var status api.Rekey
	if json.Unmarshal(*raw, &done) != nil || json.Unmarshal(*raw, &status) != nil {
		return errors.New("PUT sys/rekey/update: the answer cannot be read")
	}
	switch {
	case !done.Complete:
		return c.printRekey(&status)
	case !c.table():
		return c.PrintValue(done)
	}
	printNewShares(c, &done)
	return nil
}

func printNewShares(c *Call, done *api.RekeyUpdate) {
	for i, key := range done.KeysBase64 {
		text := fmt.Sprintf("Key %d: %s", i+1, key)
		if i < len(done.PGPFingerprints) {
			text = fmt.Sprintf("Key %d fingerprint: %s; value: %s", i+1, done.PGPFingerprints[i], key)
		}
		c.Print(text)
	}
	c.Print("\nOperation nonce: " + done.Nonce + "\n")
	if !done.VerificationRequired {
		c.Print(fmt.Sprintf(`The unseal key now has these %d shares; the old ones are void. Give each to someone
else, and keep them safe: they are shown once.`, len(done.KeysBase64)))
		return
	}
	c.Print("Verification nonce: " + done.VerificationNonce + "\n\n" +
		fmt.Sprintf(`These %d shares count once enough of them have been given back: until then the old
ones unseal. Have their holders run "%s operator rekey -verify".`, len(done.KeysBase64), program))
}

func (c *Call) printRekey(s *api.Rekey) error {
	if !c.table() {
		return c.PrintValue(s)
	}
	rows := []row{{"Nonce", s.Nonce}, {"Started", s.Started}}
	if s.Started {
		progress := fmt.Sprintf("%d/%d", s.Progress, s.Required)
		if s.VerificationNonce != "" {
			progress += " (verification in progress)"
		}
		rows = append(rows, row{"Rekey Progress", progress}, row{"New Shares", s.Shares}, row{"New Threshold", s.Threshold},
			row{"Verification Required", s.VerificationRequired})
	}
	if s.VerificationNonce != "" {
		rows = append(rows, row{"Verification Nonce", s.VerificationNonce})
	}
	c.printRows("Key", "Value", rows)
	return nil
}
