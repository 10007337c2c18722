package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

func statusCommand() Command {
	return Command{
		Name: "status", Flags: ClientFlags | FormatFlag,
		Short: "Tell whether the server is initialised and sealed",
		Long: `
The exit code is 0 if the server is unsealed, 2 if it is sealed and 1 if it could
not be asked.

  Wait for a server:
      $ until coffer status >/dev/null; do sleep 1; done`,
		New: func(*Flags) Run { return runStatus },
	}
}

func runStatus(ctx context.Context, c *Call) error {
	cl, err := c.anonymous()
	if err != nil {
		return err
	}
	status, err := call[api.SealStatus](ctx, cl, http.MethodGet, "sys/seal-status", nil)
	if err != nil {
		return c.localized(failed(err, "checking seal status"))
	}
	leader := &api.Leader{}
	if !status.Sealed {
		if leader, err = call[api.Leader](ctx, cl, http.MethodGet, "sys/leader", nil); err != nil {
			return c.localized(failed(err, "checking leader status"))
		}
	}
	if err := c.printStatus(status, leader); err != nil {
		return err
	}
	if status.Sealed {
		return silently(exitServer)
	}
	return nil
}

// localized keeps err's words but not its exit code: 2 is for a sealed server.
func (c *Call) localized(err error) error {
	return &failure{code: exitLocal, text: c.describe(err), hint: c.hint(err)}
}

// call makes a request whose answer has no envelope.
func call[T any](ctx context.Context, cl *client.Client, method, path string, body any) (*T, error) {
	a, err := cl.Raw(ctx, client.Request{Method: method, Path: path, Body: body})
	if err != nil {
		return nil, err
	}
	if a.Status >= http.StatusMultipleChoices {
		return nil, client.Refusal(a, method, path)
	}
	var v T
	if len(a.Body) == 0 {
		return &v, nil
	}
	if err := json.Unmarshal(a.Body, &v); err != nil {
		return nil, fmt.Errorf("%s %s: the answer cannot be read", method, path)
	}
	return &v, nil
}

// statusOutput is what the formats other than table print.
type statusOutput struct {
	*api.SealStatus
	HAEnabled            bool   `json:"ha_enabled"`
	IsSelf               bool   `json:"is_self,omitempty"`
	ActiveTime           string `json:"active_time"`
	LeaderAddress        string `json:"leader_address,omitempty"`
	LeaderClusterAddress string `json:"leader_cluster_address,omitempty"`
}

func (c *Call) printStatus(s *api.SealStatus, l *api.Leader) error {
	if !c.table() {
		return c.PrintValue(statusOutput{s, l.HAEnabled, l.IsSelf, l.ActiveTime, l.LeaderAddress, l.LeaderClusterAddress})
	}
	rows := sealRows(s)
	if !s.Sealed {
		rows = append(rows, row{"HA Enabled", l.HAEnabled})
	}
	if l.HAEnabled {
		rows = append(rows, leaderRows(l)...)
	}
	c.printRows("Key", "Value", rows)
	return nil
}

func sealRows(s *api.SealStatus) []row {
	share := ""
	rows := []row{{"Seal Type", s.Type}}
	if s.RecoverySeal {
		share = "Recovery "
		rows = append(rows, row{"Recovery Seal Type", "shamir"})
	}
	rows = append(rows,
		row{"Initialized", s.Initialized},
		row{"Sealed", s.Sealed},
		row{"Total " + share + "Shares", s.Shares},
		row{"Threshold", s.Threshold})
	if s.Sealed && s.Initialized {
		rows = append(rows,
			row{"Unseal Progress", strconv.Itoa(s.Progress) + "/" + strconv.Itoa(s.Threshold)},
			row{"Unseal Nonce", s.Nonce})
	}
	rows = append(rows, row{"Version", s.Version}, row{"Build Date", s.BuildDate}, row{"Storage Type", s.StorageType})
	if s.ClusterName != "" || s.ClusterID != "" {
		rows = append(rows, row{"Cluster Name", s.ClusterName}, row{"Cluster ID", s.ClusterID})
	}
	return rows
}

func leaderRows(l *api.Leader) []row {
	rows := []row{{"HA Cluster", l.LeaderClusterAddress}, {"HA Mode", "standby"}}
	if l.IsSelf {
		rows[1].value = "active"
		return append(rows, row{"Active Since", l.ActiveTime})
	}
	return append(rows, row{"Active Node Address", l.LeaderAddress})
}
