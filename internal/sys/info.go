package sys

import (
	"context"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

var metricsFields = logical.Fields{
	"format": {Type: logical.Text, Help: "prometheus, or empty for JSON."},
}

var infoRoutes = logical.Routes[*system]{
	{Op: logical.Read, Path: "host-info", Do: (*system).hostInfo, Help: "Tell about the machine."},
	{Op: logical.Read, Path: "metrics", Do: (*system).metrics, Fields: metricsFields, Help: "Read the server's metrics."},
	{Op: logical.Read, Path: "key-status", Do: (*system).keyStatus, Help: "Tell which encryption key is in use, and since when."},
	{Op: logical.Write, Path: "seal", Do: (*system).seal, Sudo: true, Help: "Seal the server."},
}

func (s *system) hostInfo(context.Context, *logical.Request) (*logical.Response, error) {
	info, err := s.Host()
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: info}, nil
}

func (s *system) metrics(_ context.Context, r *logical.Request) (*logical.Response, error) {
	contentType, body, err := s.Metrics(r.Text("format"))
	if err != nil {
		return nil, err
	}
	return &logical.Response{Raw: &logical.Raw{Status: 200, ContentType: contentType, Body: body}}, nil
}

func (s *system) keyStatus(context.Context, *logical.Request) (*logical.Response, error) {
	terms := s.Barrier.Terms()
	if len(terms) == 0 {
		return nil, logical.ErrSealed
	}
	newest := terms[len(terms)-1]
	return &logical.Response{TopLevel: true, Data: object{
		"term": newest.Number, "install_time": newest.Created.Format(time.RFC3339Nano), "encryptions": 0,
	}}, nil
}

func (s *system) seal(context.Context, *logical.Request) (*logical.Response, error) {
	return &logical.Response{After: func() { s.House.Seal(context.Background()) }}, nil
}
