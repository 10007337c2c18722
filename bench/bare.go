package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// helpers are what this program does when it starts itself.
var helpers = map[string]func(args []string) error{
	"bare": serveBare,
	"get":  getOnce,
}

// answer is what a server said, for a bare handler to say again.
type answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// headerLine is a header that a handler sets.
type headerLine struct {
	key    string
	values []string
}

// serveBare is the baseline of every request: net/http and nothing behind it. Its
// arguments are an address and the file of an answer.
func serveBare(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("bare takes an address and a file, not %d arguments", len(args))
	}
	text, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		return fmt.Errorf("parse %q: %w", args[1], err)
	}
	return http.ListenAndServe(args[0], a.handler())
}

// handler returns the cheapest handler that gives a to everybody.
func (a *answer) handler() http.Handler {
	var header []headerLine
	for key, values := range a.Header {
		if key != "Date" { // net/http sets it
			header = append(header, headerLine{key, values})
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		for _, line := range header {
			h[line.key] = line.values
		}
		w.WriteHeader(a.Status)
		w.Write(a.Body)
	})
}

// getOnce is the baseline of a command that reads: a process that makes one GET.
func getOnce(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("get takes a URL, not %d arguments", len(args))
	}
	resp, err := http.Get(args[0])
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(os.Stdout, resp.Body)
	return err
}

// bare is a running baseline.
type bare struct {
	endpoint
	process *process
	took    time.Duration // from exec to the first answer
}

// startBare asks a server with r, and starts a bare handler that answers the same.
func (l *lab) startBare(ctx context.Context, name string, r *http.Request) (*bare, error) {
	a, err := ask(ctx, r)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(l.dir, name+".answer")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := l.start(name+".bare.log", nil, l.self, "bare", address, file)
	if err != nil {
		return nil, err
	}
	_, took, err := p.await(ctx, "http://"+address, a.Status)
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return &bare{endpoint{address, p.pid()}, p, took}, nil
}

// ask returns the answer to r, which must not be an error.
func ask(ctx context.Context, r *http.Request) (answer, error) {
	resp, err := direct.Do(r.Clone(ctx))
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	if resp.StatusCode >= 400 {
		return answer{}, fmt.Errorf("%s %s: %s", r.Method, r.URL.Path, resp.Status)
	}
	// The connection is closed after this one answer, and says so; the length is
	// said even if the server left that to net/http.
	resp.Header.Del("Connection")
	resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return answer{resp.StatusCode, resp.Header, body}, nil
}
