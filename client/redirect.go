package client

import (
	"fmt"
	"net/http"
	"net/url"
)

// neverRedirect keeps net/http from following: it would turn writes into reads.
func neverRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func isRedirect(a *Answer) bool {
	switch a.Status {
	case http.StatusMovedPermanently, http.StatusFound,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return a.Header.Get("Location") != ""
	}
	return false
}

// redirected returns where the answer to a request of u sends it. The request is
// repeated there as it was, with its token and body, so another host is refused:
// a server must not be able to hand our token on. So is a step from https to
// http.
func redirected(u *url.URL, a *Answer) (*url.URL, error) {
	next, err := u.Parse(a.Header.Get("Location"))
	if err != nil {
		return nil, fmt.Errorf("redirect to an address that is none")
	}
	where := next.Scheme + "://" + next.Host
	switch {
	case next.Scheme != u.Scheme && next.Scheme != "https":
		return nil, fmt.Errorf("redirect to %s refused: it gives up TLS", where)
	case next.Hostname() != u.Hostname():
		return nil, fmt.Errorf("redirect to %s refused: the token stays with its host; use that address if you trust it", where)
	}
	return next, nil
}
