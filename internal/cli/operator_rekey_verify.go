package cli

import (
	"context"
	"fmt"
	"net/http"

	"github.com/cofferhq/coffer/client"
)

// rekeyVerification answers …/verify.
type rekeyVerification struct {
	Nonce     string `json:"nonce"`
	Started   bool   `json:"started"`
	Threshold int    `json:"t"`
	Shares    int    `json:"n"`
	Progress  int    `json:"progress"`
	Complete  bool   `json:"complete"`
}

// verification is what -verify makes of the modes: they are about the new shares
// that are to be given back.
func (o *rekeyFlags) verification(ctx context.Context, c *Call, cl *client.Client) error {
	if *o.cancel {
		return cancelCeremony(ctx, c, cl, o.at("verify"), "canceling rekey verification",
			"Canceled rekey verification (if it was started): the new shares can be given back from the first on")
	}
	status, err := call[rekeyVerification](ctx, cl, http.MethodGet, o.at("verify"), nil)
	switch {
	case client.StatusOf(err) == http.StatusBadRequest:
		return o.noRekey("No rekey verification is in progress")
	case err != nil:
		return failed(err, "getting rekey verification status")
	case *o.status:
		return c.printVerification(status)
	}
	share, err := c.keyShare(*o.nonce, status.Nonce)
	if err != nil {
		return err
	}
	if status, err = call[rekeyVerification](ctx, cl, http.MethodPut, o.at("verify"), share); err != nil {
		return failed(err, "posting new %s", o.keyName())
	}
	if status.Complete && c.table() {
		c.Success("Rekey verification complete. The new shares have replaced the old ones.")
		return nil
	}
	return c.printVerification(status)
}

func (c *Call) printVerification(s *rekeyVerification) error {
	if !c.table() {
		return c.PrintValue(s)
	}
	c.printRows("Key", "Value", []row{
		{"New Shares", s.Shares}, {"New Threshold", s.Threshold}, {"Verification Nonce", s.Nonce},
		{"Verification Progress", fmt.Sprintf("%d/%d", s.Progress, s.Threshold)},
	})
	return nil
}
