package cli

import (
	"context"
	"encoding/json"
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
	target            *string
}

// The keys that have shares: where they are changed, and what they are called.
const (
	targetBarrier  = "barrier"
	targetRecovery = "recovery"
)

// at is where the key of the target is changed.
func (o *rekeyFlags) at(step string) string {
	if *o.target == targetRecovery {
		return "sys/rekey-recovery-key/" + step
	}
	return "sys/rekey/" + step
}

// keyName is what a person calls the key of the target.
func (o *rekeyFlags) keyName() string {
	if *o.target == targetRecovery {
		return "recovery key"
	}
	return "unseal key"
}

// command is the command with its target, for hints.
func (o *rekeyFlags) command(flags string) string {
	if *o.target == targetRecovery {
		flags = "-target=" + targetRecovery + " " + flags
	}
	return fmt.Sprintf("%s operator rekey %s", program, flags)
}

func operatorRekeyCommand() Command {
	return Command{
		Name: "operator rekey", Args: "[KEY]", MaxArgs: 1, Flags: ClientFlags | FormatFlag,
		Short: "Replace the unseal key, or the recovery key, by one with other shares",
		Long: `
As many holders of a share as are needed to unseal give theirs; the answer to the
last one has the new shares, which are shown once. With -verify they must be given
back, as many as are needed, before they replace the old ones: so no share is lost
on its way. Without KEY the share is asked for, and not shown; - reads it from the
standard input. A server that unseals itself has a recovery key in place of an
unseal key: -target=recovery is about that one.

  Begin:
      $ coffer operator rekey -init -key-shares=5 -key-threshold=3 -verify
  Give an old share; everybody in turn:
      $ coffer operator rekey
  Give a new one back:
      $ coffer operator rekey -verify
  Begin, on a server that unseals itself:
      $ coffer operator rekey -target=recovery -init -key-shares=5 -key-threshold=3`,
		New: func(f *Flags) Run {
			o := &rekeyFlags{ceremony: declareCeremony(f, "to replace the key")}
			o.verify = f.Bool("verify", false, "With -init: the new shares must be given back. Else: the call is about that.")
			o.shares = f.Int("key-shares", 5, "Shares to split the new key into.")
			f.Alias("n", "key-shares")
			o.threshold = f.Int("key-threshold", 3, "Shares of the new key that are needed.")
			f.Alias("t", "key-threshold")
			o.pgpKeys = f.Commas("pgp-keys", "Files with PGP keys to encrypt the new shares with.")
			o.target = f.Choice("target", targetBarrier, []string{targetBarrier, targetRecovery}, "Which key: barrier is the one that unseals.")
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
		return cancelCeremony(ctx, c, cl, o.at("init"), "canceling rekey", "Canceled rekeying (if it was started)")
	}
	status, err := call[api.Rekey](ctx, cl, http.MethodGet, o.at("init"), nil)
	if err != nil {
		return failed(err, "getting rekey status")
	}
	switch {
	case *o.status:
		return c.printRekey(status)
	case !status.Started:
		return o.noRekey("No rekey is in progress")
	case status.VerificationNonce != "":
		return &failure{
			code: exitLocal, text: "The new shares are out and must be given back",
			hint: fmt.Sprintf("Give one with %q.", o.command("-verify")),
		}
	}
	return o.give(ctx, c, cl, status.Nonce)
}

func (o *rekeyFlags) noRekey(text string) error {
	return &failure{code: exitLocal, text: text, hint: fmt.Sprintf("Begin one with %q.", o.command("-init"))}
}

func (o *rekeyFlags) begin(ctx context.Context, c *Call, cl *client.Client) error {
	if err := c.noKey(); err != nil {
		return err
	}
	pgp, err := readPGPKeys(*o.pgpKeys)
	if err != nil {
		return local(err)
	}
	status, err := call[api.Rekey](ctx, cl, http.MethodPut, o.at("init"), struct {
		Shares    int      `json:"secret_shares"`
		Threshold int      `json:"secret_threshold"`
		PGPKeys   []string `json:"pgp_keys,omitempty"`
		Verify    bool     `json:"require_verification"`
	}{*o.shares, *o.threshold, pgp, *o.verify})
	if err != nil {
		return failed(err, "initializing rekey")
	}
	if c.table() && !status.VerificationRequired {
		c.Warn(o.warning())
	}
	return c.printRekey(status)
}

// warning says what becomes of who loses shares that nobody verified.
func (o *rekeyFlags) warning() string {
	lost := "what is stored"
	if *o.target == targetRecovery {
		lost = "the way to a new root token"
	}
	return "WARNING! The new shares count as soon as they are shown: whoever loses them then loses\n" +
		lost + ". With -verify they must be given back first.\n"
}

func (o *rekeyFlags) give(ctx context.Context, c *Call, cl *client.Client, underWay string) error {
	share, err := c.keyShare(*o.nonce, underWay)
	if err != nil {
		return err
	}
	raw, err := call[json.RawMessage](ctx, cl, http.MethodPut, o.at("update"), share)
	if err != nil {
		return failed(err, "posting %s", o.keyName())
	}
	var done api.RekeyUpdate
	var status api.Rekey
	if json.Unmarshal(*raw, &done) != nil || json.Unmarshal(*raw, &status) != nil {
		return fmt.Errorf("PUT %s: the answer cannot be read", o.at("update"))
	}
	switch {
	case !done.Complete:
		return c.printRekey(&status)
	case !c.table():
		return c.PrintValue(done)
	}
	o.printNewShares(c, &done)
	return nil
}

func (o *rekeyFlags) printNewShares(c *Call, done *api.RekeyUpdate) {
	for i, key := range done.KeysBase64 {
		text := fmt.Sprintf("Key %d: %s", i+1, key)
		if i < len(done.PGPFingerprints) {
			text = fmt.Sprintf("Key %d fingerprint: %s; value: %s", i+1, done.PGPFingerprints[i], key)
		}
		c.Print(text)
	}
	c.Print("\nOperation nonce: " + done.Nonce + "\n")
	if !done.VerificationRequired {
		c.Print(fmt.Sprintf(`The %s now has these %d shares; the old ones are void. Give each to someone
else, and keep them safe: they are shown once.`, o.keyName(), len(done.KeysBase64)))
		return
	}
	c.Print("Verification nonce: " + done.VerificationNonce + "\n\n" +
		fmt.Sprintf(`These %d shares count once enough of them have been given back: until then the old
ones do. Have their holders run %q.`, len(done.KeysBase64), o.command("-verify")))
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
