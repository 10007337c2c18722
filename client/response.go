package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/cofferhq/coffer/api"
)

// errNotJSON has no cause: it could quote the body.
var errNotJSON = errors.New("answer is not a JSON object")

// parseSecret returns nil for an empty body and for one that has errors only.
func parseSecret(body []byte) (*api.Secret, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, nil
	}
	var fields map[string]json.RawMessage
	if err := decode(body, &fields); err != nil {
		return nil, errNotJSON
	}
	if _, ok := fields["errors"]; ok && len(fields) == 1 {
		return nil, nil
	}
	if !hasEnvelope(fields) {
		s := &api.Secret{}
		return s, decode(body, &s.Data)
	}
	s := &api.Secret{}
	if err := decode(body, s); err != nil {
		return nil, err
	}
	return s, nil
}

func hasEnvelope(fields map[string]json.RawMessage) bool {
	for _, name := range []string{"request_id", "lease_id", "data", "auth", "wrap_info"} {
		if _, ok := fields[name]; ok {
			return true
		}
	}
	return false
}

// decode is json.Unmarshal that keeps numbers as they are written.
func decode(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return errNotJSON
	}
	if _, err := d.Token(); err != io.EOF {
		return errNotJSON
	}
	return nil
}
