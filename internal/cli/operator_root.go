package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

// rootAttempt is where the server makes a root token.
const rootAttempt = "sys/generate-root/attempt"

type rootFlags struct {
	ceremony
	makeOTP             *bool
	decode, otp, pgpKey *string
}

func operatorGenerateRootCommand() Command {
	return Command{
		Name: "operator generate-root", Args: "[KEY]", MaxArgs: 1, Flags: ClientFlags | FormatFlag,
		Short: "Make a new root token, with shares of the unseal key",
		Long: `
As many holders of a share of the unseal key, or of the recovery key of a server
that unseals itself, as are needed to unseal make a root token together. Who begins
gets a one-time password. The answer to the last share is the token, covered with
that password: nobody else can read it. Without KEY the share is asked for, and not
shown; - reads it from the standard input.

  Begin, and keep the one-time password:
      $ coffer operator generate-root -init
  Give a share; everybody in turn:
      $ coffer operator generate-root
  Uncover the token, on the machine of who began:
      $ coffer operator generate-root -decode=ENCODED_TOKEN -otp=OTP`,
		New: func(f *Flags) Run {
			o := &rootFlags{ceremony: declareCeremony(f, "to make a root token")}
			o.makeOTP = f.Bool("generate-otp", false, "Print a one-time password for -init, and do nothing else.")
			o.decode = f.String("decode", "", "Covered token to uncover with -otp; - reads it from the standard input.")
			o.otp = f.String("otp", "", "One-time password: of one's own with -init, and the one in use with -decode.")
			o.pgpKey = f.String("pgp-key", "", "File with a PGP key to encrypt the token with, in place of a one-time password.")
			return o.run
		},
	}
}

func (o *rootFlags) run(ctx context.Context, c *Call) error {
	decode := *o.decode != ""
	if err := oneOf(map[string]bool{
		"init": *o.start, "cancel": *o.cancel, "status": *o.status, "generate-otp": *o.makeOTP, "decode": decode,
	}); err != nil {
		return err
	}
	if decode {
		return o.uncover(c)
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	switch {
	case *o.start:
		return o.begin(ctx, c, cl)
	case *o.cancel:
		return cancelCeremony(ctx, c, cl, rootAttempt, "canceling root generation", "Root token generation canceled (if it was started)")
	}
	status, err := call[api.RootGeneration](ctx, cl, http.MethodGet, rootAttempt, nil)
	if err != nil {
		return failed(err, "getting root generation status")
	}
	switch {
	case *o.makeOTP:
		return printOTP(c, status.OTPLength)
	case *o.status:
		return c.printRoot(status)
	case !status.Started:
		return &failure{
			code: exitLocal, text: "No root generation is in progress",
			hint: fmt.Sprintf("Begin one with \"%s operator generate-root -init\".", program),
		}
	}
	return o.give(ctx, c, cl, status.Nonce)
}

func (o *rootFlags) begin(ctx context.Context, c *Call, cl *client.Client) error {
	if err := c.noKey(); err != nil {
		return err
	}
	var req struct {
		OTP    string `json:"otp,omitempty"`
		PGPKey string `json:"pgp_key,omitempty"`
	}
	req.OTP = *o.otp
	if *o.pgpKey != "" {
		keys, err := readPGPKeys([]string{*o.pgpKey})
		if err != nil {
			return local(err)
		}
		req.PGPKey = keys[0]
	}
	status, err := call[api.RootGeneration](ctx, cl, http.MethodPut, rootAttempt, req)
	if err != nil {
		return failed(err, "initializing root generation")
	}
	if c.table() && req.OTP == "" && status.OTP != "" {
		c.Warn("A one-time password has been made: keep the OTP below, without it the token cannot be read.\n")
	}
	return c.printRoot(status)
}

func (o *rootFlags) give(ctx context.Context, c *Call, cl *client.Client, underWay string) error {
	share, err := c.keyShare(*o.nonce, underWay)
	if err != nil {
		return err
	}
	status, err := call[api.RootGeneration](ctx, cl, http.MethodPut, "sys/generate-root/update", share)
	if err != nil {
		return failed(err, "posting unseal key")
	}
	return c.printRoot(status)
}

func (c *Call) printRoot(s *api.RootGeneration) error {
	if !c.table() {
		return c.PrintValue(s)
	}
	rows := []row{
		{"Nonce", s.Nonce}, {"Started", s.Started},
		{"Progress", fmt.Sprintf("%d/%d", s.Progress, s.Required)}, {"Complete", s.Complete},
	}
	for _, r := range []row{
		{"PGP Fingerprint", s.PGPFingerprint}, {"Encoded Token", cmp.Or(s.EncodedToken, s.EncodedRootToken)}, {"OTP", s.OTP},
	} {
		if r.value != "" {
			rows = append(rows, r)
		}
	}
	if s.OTPLength > 0 {
		rows = append(rows, row{"OTP Length", s.OTPLength})
	}
	c.printPlainRows(rows)
	return nil
}

// vaultOTPLength is how long the password is for a server that does not say.
const vaultOTPLength = 26

// printOTP prints a one-time password of the length that the server's tokens
// have.
func printOTP(c *Call, length int) error {
	if err := c.noKey(); err != nil {
		return err
	}
	length = cmp.Or(length, vaultOTPLength)
	random := make([]byte, length)
	rand.Read(random) // never fails
	otp := base64.RawStdEncoding.EncodeToString(random)[:length]
	if !c.table() {
		return c.PrintValue(map[string]any{"otp": otp, "otp_length": length})
	}
	c.Print(otp)
	return nil
}

// uncover needs no server.
func (o *rootFlags) uncover(c *Call) error {
	if err := c.noKey(); err != nil {
		return err
	}
	if *o.otp == "" {
		return usage("Missing one-time password: specify it via the -otp flag")
	}
	covered := *o.decode
	if covered == "-" {
		var err error
		if covered, err = c.readLine(); err != nil {
			return err
		}
	}
	token, err := uncover(covered, *o.otp)
	if err != nil {
		return local(err)
	}
	if !c.table() {
		return c.PrintValue(map[string]any{"token": token})
	}
	c.Print(token)
	return nil
}

// uncover returns the exclusive or of a one-time password and of what a server
// covered with it.
func uncover(covered, otp string) (string, error) {
	token, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(covered, "="))
	switch {
	case err != nil:
		return "", errors.New("Error decoding root token: it is not base64")
	case len(token) != len(otp):
		return "", fmt.Errorf("Error decoding root token: the one-time password has %d characters and the token %d: they do not belong together",
			len(otp), len(token))
	}
	for i := range token {
		token[i] ^= otp[i]
	}
	return string(token), nil
}
