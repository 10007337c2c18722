package template

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

// ask makes the request of a query that was located.
func (s *Store) ask(ctx context.Context, q Query) *Answer {
	a := &Answer{query: q}
	params, err := url.ParseQuery(q.Params)
	if err != nil {
		a.err = fmt.Errorf("%s: malformed parameters after ?", q.Path)
		return a
	}
	if a.secret, err = request(ctx, s.in(q.Namespace), q, params); err != nil {
		a.err = fmt.Errorf("%s: %w", q.Path, err)
		return a
	}
	a.version = versionOf(a.secret)
	if a.secret != nil && a.secret.Data == nil && a.secret.Auth == nil && q.Operation == Read {
		a.secret = nil
	}
	if a.version != 0 && a.secret.Data["data"] == nil {
		// A deleted version is there for its metadata, which no template wants.
		a.secret = nil
	}
	return a
}

func request(ctx context.Context, c *client.Client, q Query, params url.Values) (*api.Secret, error) {
	switch q.Operation {
	case List:
		return c.List(ctx, q.Path)
	case Write:
		return c.Do(ctx, client.Request{Method: http.MethodPut, Path: q.Path, Query: params, Body: q.body()})
	}
	return c.ReadQuery(ctx, q.Path, params)
}

// infixes are what may follow a mount of KV version 2.
var infixes = []string{"data/", "metadata/", "subkeys/"}

func withInfix(mount, path string, op Operation) string {
	rest := strings.TrimPrefix(path+"/", mount)
	infix := "data/"
	if op == List {
		infix = "metadata/"
		rest = strings.TrimPrefix(rest, "data/")
	}
	for _, one := range infixes {
		if strings.HasPrefix(rest, one) {
			infix = ""
		}
	}
	return strings.TrimSuffix(mount+infix+rest, "/")
}

// versionOf tells an answer of KV version 2 by its shape; zero: it is another.
func versionOf(s *api.Secret) int {
	if s == nil {
		return 0
	}
	metadata, ok := s.Data["metadata"].(map[string]any)
	if _, hasData := s.Data["data"]; !ok || !hasData || len(s.Data) != 2 {
		return 0
	}
	number, _ := metadata["version"].(json.Number)
	version, err := strconv.Atoi(number.String())
	if err != nil {
		return 0
	}
	return version
}
