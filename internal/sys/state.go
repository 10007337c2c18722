package sys

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// UnderWay is a request that is being handled.
type UnderWay struct {
	ID       string
	Method   string // as it came over the wire
	Path     string // of the API
	Remote   netip.AddrPort
	EntityID string // of the caller; empty: it has none, or is not known yet
	Start    time.Time
}

var stateRoutes = logical.Routes[*system]{
	{Op: logical.Read, Path: "in-flight-req", Do: (*system).inFlight, Sudo: true, Help: "List the requests that are under way."},
	{Op: logical.Read, Path: "config/state/sanitized", Do: (*system).configuration, Help: "Tell how the server is configured, without anything secret."},
}

// inFlight answers without the envelope, as Vault does: the keys are the ids of
// requests.
func (s *system) inFlight(context.Context, *logical.Request) (*logical.Response, error) {
	all := object{}
	for _, u := range s.House.UnderWay() {
		all[u.ID] = object{
			"start_time": u.Start.Format(time.RFC3339Nano), "client_remote_address": u.Remote.String(),
			"request_path": "/v1/" + u.Path, "request_method": u.Method, "client_id": u.EntityID,
		}
	}
	body, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Raw: &logical.Raw{Status: http.StatusOK, ContentType: "application/json", Body: append(body, '\n')}}, nil
}

func (s *system) configuration(context.Context, *logical.Request) (*logical.Response, error) {
	return &logical.Response{Data: s.Configuration()}, nil
}
