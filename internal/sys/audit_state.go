package sys

import (
	"context"

	"github.com/cofferhq/coffer/internal/audit"
	"github.com/cofferhq/coffer/internal/logical"
)

var auditStateRoutes = logical.Routes[*system]{
	{Op: logical.Read, Path: "coffer/audit", Do: (*system).readDeviceStates, Sudo: true, Help: "Tell how the audit devices fare: lines, failures, space left."},
}

func (s *system) readDeviceStates(context.Context, *logical.Request) (*logical.Response, error) {
	devices := object{}
	for _, d := range s.Devices.States() {
		devices[d.Path] = deviceState(d)
	}
	return &logical.Response{Data: object{"devices": devices}}, nil
}

func deviceState(d audit.State) object {
	o := object{
		"type": d.Type, "recorded": d.Recorded, "failed": d.Failed, "last_error": d.LastError,
		"last_failure": timeOrNull(d.LastFailure), "away": d.Away, "free_bytes": nil, "warn_free_bytes": nil, "low_space": false,
	}
	if d.Space != nil {
		o["free_bytes"], o["warn_free_bytes"], o["low_space"] = d.Space.Free, d.Space.Warn, d.Space.Low
	}
	return o
}
