package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/template"
)

// write gives the sink the client's token, or a wrapping that holds it.
func (s *Sink) write(ctx context.Context, c *client.Client) error {
	content := secret.Text(c.Token())
	if s.WrapTTL > 0 {
		wrapped, err := s.wrap(ctx, c)
		if err != nil {
			return err
		}
		content = wrapped
	}
	d := template.Destination{Path: s.Path, Mode: s.Mode}
	_, err := d.Write(content)
	return err
}

// wrap returns what Vault Agent writes: the wrapping, in JSON.
func (s *Sink) wrap(ctx context.Context, c *client.Client) (secret.Bytes, error) {
	answer, err := c.Do(ctx, client.Request{
		Method: http.MethodPut, Path: "sys/wrapping/wrap",
		Body: map[string]any{"token": c.Token()}, WrapTTL: fmt.Sprintf("%ds", int(s.WrapTTL.Seconds())),
	})
	if err != nil {
		return secret.Bytes{}, err
	}
	if answer == nil || answer.WrapInfo == nil {
		return secret.Bytes{}, errors.New("the server did not wrap the token")
	}
	text, err := json.Marshal(answer.WrapInfo)
	if err != nil {
		return secret.Bytes{}, errors.New("the wrapping cannot be written as JSON")
	}
	return secret.New(text), nil
}
