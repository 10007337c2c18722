package agent

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/cofferhq/coffer/api"
)

// maxObservedBytes is how large an answer may be that is looked at, or cached. What
// is larger, or no JSON, goes through as it comes.
const maxObservedBytes = 1 << 20

// observe looks at the answers to requests with the agent's token: which version of
// a secret a client has now, and what to cache. It is ModifyResponse of the proxy.
func (p *proxy) observe(resp *http.Response) error {
	c := callOf(resp.Request.Context())
	if p.cache != nil && resp.StatusCode < http.StatusMultipleChoices && c.ends != nil {
		p.cache.end(c.ends)
	}
	if c.ours && resp.StatusCode == http.StatusForbidden {
		p.agent.keeper.suspect()
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if !c.ours || resp.StatusCode != http.StatusOK || kind != "application/json" || resp.ContentLength > maxObservedBytes {
		return nil
	}
	path := strings.TrimPrefix(resp.Request.URL.Path, "/v1/")
	if resp.Request.Method != http.MethodGet && c.keep == nil || strings.HasPrefix(path, "sys/monitor") {
		return nil
	}
	body, whole, err := peek(resp)
	if err != nil || !whole {
		return err
	}
	answer := &api.Secret{}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if d.Decode(answer) != nil {
		return nil // it is the client's to judge
	}
	namespace := strings.Trim(resp.Request.Header.Get("X-Vault-Namespace"), "/")
	if version, ok := versionOf(answer); ok && resp.Request.Method == http.MethodGet && resp.Request.URL.RawQuery == "" {
		p.consumers.saw(c.peer, resp.Request.Header.Get(instanceHeader), place{namespace, path}, version)
	}
	if c.keep != nil {
		c.keep(answer, resp, body)
	}
	return nil
}

// peek reads the body, if it is not too large, and leaves it to be read again.
func peek(resp *http.Response) (body []byte, whole bool, err error) {
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxObservedBytes+1))
	if err != nil {
		return nil, false, err
	}
	rest := resp.Body
	if whole = len(body) <= maxObservedBytes; whole {
		rest.Close()
		resp.Body = io.NopCloser(bytes.NewReader(body))
		return body, true, nil
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), rest}
	return nil, false, nil
}

// versionOf tells an answer of KV version 2 by its shape.
func versionOf(s *api.Secret) (int, bool) {
	metadata, ok := s.Data["metadata"].(map[string]any)
	if !ok || s.Data["data"] == nil {
		return 0, false
	}
	number, _ := metadata["version"].(json.Number)
	version, err := number.Int64()
	return int(version), err == nil && version > 0
}
