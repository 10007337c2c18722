package drill

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/cofferhq/coffer/internal/secret"
)

// Probe says where a value can be tried that nothing else tells about.
type Probe struct {
	Name  string // of the variable
	URL   string
	Basic bool // the value is user:password; else it is a bearer token
}

// Check says what is wrong with a probe.
func (p Probe) Check() error {
	u, err := url.Parse(p.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return fmt.Errorf("%s: want the http or https address that it can be tried at", p.Name)
	}
	return nil
}

// probeTime bounds one request.
const probeTime = 10 * time.Second

// errNotSent says why a request was not made, without what would have been in it.
var errNotSent = errors.New("no answer")

// try asks once. 401 and 403 refuse; what succeeds, works; all else tells nothing.
func (p Probe) try(ctx context.Context, value secret.Bytes) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL, nil)
	if err != nil {
		return errNotSent
	}
	authorization := "Bearer " + value.RevealText()
	if p.Basic {
		authorization = "Basic " + base64.StdEncoding.EncodeToString(value.Reveal())
	}
	req.Header.Set("Authorization", authorization)
	// A redirect could send the value elsewhere.
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Do(req)
	if err != nil {
		return errNotSent // its text may quote the header
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w: %s", ErrRefused, resp.Status)
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return nil
	}
	return fmt.Errorf("it answers %s", resp.Status)
}

// probe adds a value that is tried where the operator says.
func (c *collector) probe(p Probe) {
	stolen := c.all[p.Name]
	if stolen.Empty() {
		c.leave(p.Name, "there is no such variable, or it is empty")
		return
	}
	c.add(&Credential{
		Name: p.Name, Kind: "HTTP", Where: p.URL,
		Try: func(ctx context.Context) error { return p.try(ctx, stolen) },
		Control: func(ctx context.Context) error {
			values, done, err := c.Current(ctx, []string{p.Name})
			if err != nil {
				return err
			}
			defer done()
			if values[p.Name].Equal(stolen) {
				return ErrSame
			}
			return p.try(ctx, values[p.Name])
		},
	}, p.Name)
}
