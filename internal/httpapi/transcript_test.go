package httpapi_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write what the server answers into the transcripts of testdata")

// A transcript of testdata is an archive. Its comment may have lines
//
//	sealed          the server is not initialized at first
//	key file        it is not, and unseals itself with a key file
//
// and each file is one request and, below a line "---", the answer to it:
//
//	save NAME = a.b.c      $NAME is that field of the answer from here on
//	never TEXT             the answer must not contain TEXT
//	wait 1h                time goes by before the request
//	until TEXT             the request is made again until the answer contains TEXT
//	METHOD PATH
//	Header: value          the root token is sent unless X-Vault-Token is set;
//	                       a header without a value is not sent
//
//	body
//	---
//	status
//	Header: value          those of shownHeaders
//
//	body                   JSON indented, what is different each time in <>
type step struct {
	name          string
	save          [][2]string // variable, field
	never         []string
	wait          time.Duration
	until         string
	method, path  string
	header        []string // names and values
	body          string
	script, wants string // as they stand in the archive
}

// shownHeaders are those of the answer that transcripts show.
var shownHeaders = []string{
	"Content-Type", "Location", "Allow", "Retry-After", "X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset",
	"Vary", "Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Max-Age",
}

func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			play(t, archive)
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func play(t *testing.T, archive *txtar.Archive) {
	var s *server
	switch lines := strings.Split(string(archive.Comment), "\n"); {
	case slices.Contains(lines, "key file"):
		s = newSelfUnsealing(t)
	case slices.Contains(lines, "sealed"):
		s = newSealed(t)
	default:
		s = newServer(t)
	}
	vars := map[string]string{"DIR": t.TempDir()}
	for i := range archive.Files {
		st := parseStep(t, archive.Files[i])
		got := st.run(t, s, vars)
		if *update {
			archive.Files[i].Data = []byte(st.script + "---\n" + got)
		} else if got != st.wants {
			t.Errorf("%s:\n%s %s\ngot:\n%s\nwant:\n%s", st.name, st.method, st.path, got, st.wants)
		}
	}
}

func parseStep(t *testing.T, f txtar.File) step {
	t.Helper()
	st := step{name: f.Name}
	st.script, st.wants, _ = strings.Cut(string(f.Data), "---\n")
	head, body, _ := strings.Cut(st.script, "\n\n")
	st.body = strings.TrimSpace(body)
	for lines := bufio.NewScanner(strings.NewReader(head)); lines.Scan(); {
		st.line(t, lines.Text())
	}
	if st.method == "" {
		t.Fatalf("%s: no request", st.name)
	}
	return st
}

func (st *step) line(t *testing.T, line string) {
	t.Helper()
	word, rest, _ := strings.Cut(line, " ")
	switch {
	case word == "save":
		name, field, _ := strings.Cut(rest, " = ")
		st.save = append(st.save, [2]string{name, field})
	case word == "never":
		st.never = append(st.never, rest)
	case word == "until":
		st.until = rest
	case word == "wait":
		d, err := time.ParseDuration(rest)
		if err != nil {
			t.Fatal(err)
		}
		st.wait = d
	case st.method == "":
		st.method, st.path = word, rest
	default:
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			t.Fatalf("%s: what is %q?", st.name, line)
		}
		st.header = append(st.header, name, strings.TrimSpace(value))
	}
}

// run makes the request and returns the answer as transcripts show it.
func (st *step) run(t *testing.T, s *server, vars map[string]string) string {
	t.Helper()
	s.clock.advance(st.wait)
	fill := func(text string) string {
		return os.Expand(text, func(name string) string {
			if v, ok := vars[name]; ok {
				return v
			}
			return "$" + name
		})
	}
	header := slices.Clone(st.header)
	for i := 1; i < len(header); i += 2 {
		header[i] = fill(header[i])
	}
	a := s.do(st.method, fill(st.path), fill(st.body), header...)
	if st.until != "" {
		a = st.insist(t, a, func() answer { return s.do(st.method, fill(st.path), fill(st.body), header...) })
	}
	for _, v := range st.save {
		vars[v[0]] = a.text(t, v[1])
	}
	for _, text := range st.never {
		if text = fill(text); bytes.Contains(a.body, []byte(text)) {
			t.Errorf("%s: the answer contains %q", st.name, text)
		}
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("%s: Cache-Control is %q", st.name, got)
	}
	text := show(a)
	if dir := vars["DIR"]; dir != "" {
		text = strings.ReplaceAll(text, dir, "$DIR")
	}
	return text
}

// insist makes a request again while what is due is done in the background.
func (st *step) insist(t *testing.T, a answer, again func() answer) answer {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for !bytes.Contains(a.body, []byte(st.until)) {
		select {
		case <-tick.C:
			a = again()
		case <-limit:
			t.Fatalf("%s: never %q: %s", st.name, st.until, a.body)
		}
	}
	return a
}

func show(a answer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", a.status)
	for _, name := range shownHeaders {
		if v := a.header.Get(name); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	if len(a.body) == 0 {
		return b.String()
	}
	b.WriteString("\n" + strings.TrimRight(pretty(a.body), "\n") + "\n")
	return b.String()
}

// pretty indents JSON, with its fields in order, and hides what changes.
func pretty(body []byte) string {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return hide("", string(body))
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(hidden("", v)); err != nil {
		return err.Error()
	}
	return out.String()
}

func hidden(name string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		next := make(map[string]any, len(v))
		for k, item := range v {
			next[k] = hidden(k, item)
		}
		return next
	case []any:
		for i := range v {
			v[i] = hidden(name, v[i])
		}
		return v
	case string:
		return hide(name, v)
	case json.Number:
		if name == "encryptions" { // what goes on in the background counts too
			return "<number>"
		}
	}
	return v
}

// volatile is what random texts look like.
var volatile = []struct {
	pattern *regexp.Regexp
	stands  string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "<uuid>"},
	{regexp.MustCompile(`cf[sbr]\.[0-9A-Za-z_-]{24,}`), "<token>"},
	{regexp.MustCompile(`/h[0-9A-Za-z_-]{32}`), "/<token lease>"},
	{regexp.MustCompile(`^h[0-9A-Za-z_-]{32}$`), "<token lease>"},
	{regexp.MustCompile(`\b[A-Z2-7]{26}\b`), "<lease>"},
	{regexp.MustCompile(`^[0-9A-Za-z]{24}$`), "<accessor>"},
	{regexp.MustCompile(`^hmac-sha256:[0-9a-f]{64}$`), "<hmac>"},
}

var mountAccessor = regexp.MustCompile(`^((?:auth_)?[a-z]+)_[0-9a-z]{8}$`)

// random is names of fields whose text is random.
var random = []string{
	"keys_base64", "recovery_keys_base64", "random_bytes", "install_time", "timestamp_installed", "build_date", "role_id", "otp",
	"encoded_token", "encoded_root_token",
}

// sets is the id of a set of shares in a message.
var sets = regexp.MustCompile(`set [0-9a-f]{8}`)

func hide(name, s string) string {
	if slices.Contains(random, name) && s != "" {
		return "<" + name + ">"
	}
	if (name == "keys" || name == "recovery_keys") && regexp.MustCompile(`^[0-9a-f]{60,}$`).MatchString(s) {
		return "<key>"
	}
	if name == "accessor" || name == "mount_accessor" {
		s = mountAccessor.ReplaceAllString(s, "${1}_<accessor>")
	}
	s = sets.ReplaceAllString(s, "set <set>")
	for _, v := range volatile {
		s = v.pattern.ReplaceAllString(s, v.stands)
	}
	return s
}

// What all answers have in common.
func TestEveryAnswerHasItsHeaders(t *testing.T) {
	s := newServer(t)
	for _, path := range []string{"/v1/sys/mounts", "/v1/secret/data/none", "/v1/nowhere", "/", "/elsewhere", "/v1/sys/health"} {
		a := s.do(http.MethodGet, path, "")
		if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v", path, a.header)
		}
	}
}
