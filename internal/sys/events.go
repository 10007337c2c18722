package sys

import (
	"context"
	"net/http"

	"github.com/cofferhq/coffer/internal/logical"
)

// The subscription itself is served beside the engines, as it outlives a request;
// the core reads its fields by this table.
var eventRoutes = logical.Routes[*system]{
	{Op: logical.Read, Path: "events/subscribe/{type...}", Do: (*system).notUpgraded, Fields: logical.Fields{
		"json":       {Type: logical.Bool, Help: "Whether events come as JSON; else as protocol buffers."},
		"namespaces": {Type: logical.Texts, Help: "More namespaces, below the request's; a star is any text."},
		"filter":     {Type: logical.Text, Help: "Expression that events must fulfil: data_path == \"secret/data/db\"."},
		"since":      {Type: logical.Text, Help: "Revision, as in X-Vault-Index, after which to begin. Coffer's own."},
		"progress":   {Type: logical.Bool, Help: "Whether to tell now and then how far the stream has come. Coffer's own."},
	}, Help: "Subscribe to events, over a WebSocket; a star in the type is any text."},
}

// notUpgraded answers to requests that are not for a WebSocket.
func (s *system) notUpgraded(context.Context, *logical.Request) (*logical.Response, error) {
	return &logical.Response{Raw: &logical.Raw{
		Status: http.StatusUpgradeRequired, ContentType: "application/json",
		Body: []byte(`{"errors":["events are sent over a WebSocket: the request must ask for an upgrade"]}` + "\n"),
	}}, nil
}
