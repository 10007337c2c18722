package cli

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write what the scripts of testdata print into them")

// A script of testdata is an archive of sections:
//
//	server         what the server answers from here on: "METHOD PATH STATUS",
//	               the body below, an empty line. Of several answers to the same
//	               request each is given in turn, and the last one again.
//	call: NAME     one command line, with variables in front as shells take them;
//	               $WORK is the working folder, $SERVER the server's address
//	stdin          of the call
//	hidden         what is typed at a prompt: the standard input is a terminal
//	file: PATH     exists before the call, below the working folder $WORK
//	never          lines that neither output may have
//
// and of what -update writes:
//
//	stdout, stderr, code (if not zero), requests, and wrote: PATH for each file
//	that the call left, changed or new
type scriptCall struct {
	name, line string
	inputs     []txtar.File // as they stand in the archive
	server     []scriptAnswer
	want       map[string]string
}

type scriptAnswer struct {
	request string // method and path
	status  int
	body    string
}

// scriptToken is the caller's, unless a call says otherwise.
const scriptToken = "cfs.callers-own-token"

// noLineEnd marks outputs that do not end in one, which archives always do.
const noLineEnd = "\\ no line end\n"

func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { runScript(t, path) })
	}
}

func runScript(t *testing.T, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := &txtar.Archive{Comment: archive.Comment}
	calls, err := scriptCalls(archive)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range calls {
		out.Files = append(out.Files, c.inputs...)
		t.Run(c.name, func(t *testing.T) {
			for _, got := range c.run(t) {
				out.Files = append(out.Files, got)
				if want := c.want[got.Name]; want != string(got.Data) && !*update {
					t.Errorf("%s:\n%s\nwant:\n%s", got.Name, got.Data, want)
				}
				delete(c.want, got.Name)
			}
			for name := range c.want {
				if !*update {
					t.Errorf("there is no %s", name)
				}
			}
		})
	}
	if *update {
		if err := os.WriteFile(path, txtar.Format(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// scriptCalls takes an archive apart.
func scriptCalls(a *txtar.Archive) ([]*scriptCall, error) {
	var calls []*scriptCall
	var server []scriptAnswer
	var before []txtar.File // what stands in front of a call
	for _, f := range a.Files {
		kind, name, _ := strings.Cut(f.Name, ": ")
		switch kind {
		case "server":
			var err error
			if server, err = scriptAnswers(string(f.Data)); err != nil {
				return nil, err
			}
			before = append(before, f)
			continue
		case "call":
			c := &scriptCall{name: name, line: strings.TrimSpace(string(f.Data)), server: server, want: map[string]string{}}
			c.inputs = append(before, f)
			before = nil
			calls = append(calls, c)
			continue
		}
		if len(calls) == 0 {
			return nil, fmt.Errorf("%s stands before the first call", f.Name)
		}
		c := calls[len(calls)-1]
		switch kind {
		case "stdin", "hidden", "file", "never":
			c.inputs = append(c.inputs, f)
		case "stdout", "stderr", "code", "requests", "wrote":
			c.want[f.Name] = string(f.Data)
		default:
			return nil, fmt.Errorf("unknown section %q", f.Name)
		}
	}
	return calls, nil
}

func scriptAnswers(text string) ([]scriptAnswer, error) {
	var answers []scriptAnswer
	for part := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		head, body, _ := strings.Cut(strings.TrimSpace(part), "\n")
		words := strings.Fields(head)
		if len(words) != 3 {
			return nil, fmt.Errorf("answer %q: want METHOD PATH STATUS", head)
		}
		status, err := strconv.Atoi(words[2])
		if err != nil {
			return nil, err
		}
		answers = append(answers, scriptAnswer{words[0] + " " + words[1], status, body})
	}
	return answers, nil
}

// input returns an input section of the call.
func (c *scriptCall) input(name string) (string, bool) {
	i := slices.IndexFunc(c.inputs, func(f txtar.File) bool { return f.Name == name })
	if i < 0 {
		return "", false
	}
	return string(c.inputs[i].Data), true
}

// run makes the call and returns the sections of what came of it.
func (c *scriptCall) run(t *testing.T) []txtar.File {
	server := &scriptServer{answers: c.server}
	http := httptest.NewServer(server)
	defer http.Close()
	work := t.TempDir()
	t.Chdir(work)
	plain := strings.NewReplacer(http.URL, "http://server", strings.TrimPrefix(http.URL, "http://"), "server", work, "$WORK")

	env := map[string]string{"VAULT_ADDR": http.URL, "VAULT_TOKEN": scriptToken, "HOME": filepath.Join(work, "home"), "SHELL": "/bin/bash"}
	before := c.writeFiles(t, work)
	words, err := shellWords(strings.NewReplacer("$WORK", work, "$SERVER", http.URL).Replace(c.line))
	if err != nil {
		t.Fatal(err)
	}
	for len(words) > 0 && words[0] != program {
		name, value, _ := strings.Cut(words[0], "=")
		env[name], words = value, words[1:]
	}
	var stdout, stderr bytes.Buffer
	stdin, _ := c.input("stdin")
	hidden, typed := c.input("hidden")
	code := Main(words[1:], System{
		Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr,
		Getenv: func(name string) string { return env[name] }, StdinTTY: typed,
		ReadHidden: func() (string, error) {
			if !typed {
				return "", errors.New("nobody is there to type")
			}
			return strings.TrimSuffix(hidden, "\n"), nil
		},
		Executable: "/usr/bin/coffer",
		After: func(time.Duration) <-chan time.Time {
			now := make(chan time.Time, 1)
			now <- time.Time{}
			return now
		},
	})
	c.checkNever(t, stdout.String()+stderr.String())
	var got []txtar.File
	for _, o := range []struct{ name, text string }{
		{"stdout", stdout.String()}, {"stderr", stderr.String()}, {"requests", server.seen.String()},
	} {
		if o.text == "" {
			continue
		}
		if !strings.HasSuffix(o.text, "\n") {
			o.text += noLineEnd
		}
		got = append(got, txtar.File{Name: o.name, Data: []byte(plain.Replace(o.text))})
	}
	if code != exitOK {
		got = slices.Insert(got, 0, txtar.File{Name: "code", Data: fmt.Appendln(nil, code)})
	}
	return append(got, writtenFiles(t, work, before, plain)...)
}

func (c *scriptCall) checkNever(t *testing.T, output string) {
	never, _ := c.input("never")
	if !strings.Contains(c.line, "print token") {
		never += "\n" + scriptToken
	}
	for line := range strings.SplitSeq(never, "\n") {
		if line != "" && strings.Contains(output, line) {
			t.Errorf("the output has %q:\n%s", line, output)
		}
	}
}

// writeFiles makes the files of the call, and remembers them.
func (c *scriptCall) writeFiles(t *testing.T, work string) map[string]string {
	files := map[string]string{}
	for _, f := range c.inputs {
		path, ok := strings.CutPrefix(f.Name, "file: ")
		if !ok {
			continue
		}
		full := filepath.Join(work, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, f.Data, 0o644)); err != nil {
			t.Fatal(err)
		}
		files[path] = string(f.Data)
	}
	if err := os.MkdirAll(filepath.Join(work, "home"), 0o755); err != nil {
		t.Fatal(err)
	}
	return files
}

// writtenFiles are those that are not as they were.
func writtenFiles(t *testing.T, work string, before map[string]string, plain *strings.Replacer) []txtar.File {
	var got []txtar.File
	err := filepath.WalkDir(work, func(full string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(full)
		if err != nil {
			return err
		}
		path, err := filepath.Rel(work, full)
		if old, ok := before[path]; err != nil || ok && old == string(b) {
			return err
		}
		if !bytes.HasSuffix(b, []byte("\n")) {
			b = append(b, noLineEnd...)
		}
		got = append(got, txtar.File{Name: "wrote: " + path, Data: []byte(plain.Replace(string(b)))})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// scriptServer gives canned answers and notes what it was asked.
type scriptServer struct {
	answers []scriptAnswer

	mu    sync.Mutex // guards the fields below
	seen  strings.Builder
	asked map[string]int // method and path → how often
}

func (s *scriptServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	request := r.Method + " " + r.URL.RequestURI()
	s.note(r, request, body)
	var answers []scriptAnswer
	for _, a := range s.answers {
		if a.request == request {
			answers = append(answers, a)
		}
	}
	if s.asked == nil {
		s.asked = map[string]int{}
	}
	n := s.asked[request]
	s.asked[request]++
	if len(answers) == 0 || err != nil {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, `{"errors":["no handler for route \"%s\""]}`, strings.TrimPrefix(r.URL.Path, "/v1/"))
		return
	}
	a := answers[min(n, len(answers)-1)]
	if a.status >= 300 && a.status < 400 {
		w.Header().Set("Location", a.body)
		w.WriteHeader(a.status)
		return
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

// note writes down a request, with those of its headers that a flag or the
// environment asked for.
func (s *scriptServer) note(r *http.Request, request string, body []byte) {
	usual := []string{"Accept-Encoding", "User-Agent", "X-Vault-Request", "Content-Length"}
	s.seen.WriteString(request + "\n")
	var lines []string
	for name, values := range r.Header {
		value := strings.Join(values, ", ")
		switch {
		case slices.Contains(usual, name), name == "X-Vault-Token" && value == scriptToken, value == "application/json":
			continue
		}
		lines = append(lines, "  "+name+": "+value+"\n")
	}
	if r.Header.Get("X-Vault-Token") == "" {
		lines = append(lines, "  without a token\n")
	}
	slices.Sort(lines)
	s.seen.WriteString(strings.Join(lines, ""))
	if len(body) > 0 {
		s.seen.WriteString("  " + string(body) + "\n")
	}
}

// shellWords splits a line as shells do: blanks, quotes of both kinds, and a
// backslash outside of them.
func shellWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	in, quote, escaped := false, rune(0), false
	for _, r := range line {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\\':
			in, escaped = true, true
		case r == '\'' || r == '"':
			in, quote = true, r
		case r == ' ':
			if in {
				words = append(words, word.String())
				word.Reset()
			}
			in = false
		default:
			in = true
			word.WriteRune(r)
		}
	}
	if in {
		words = append(words, word.String())
	}
	if quote != 0 || escaped {
		return nil, fmt.Errorf("unfinished: %s", cmp.Or(line, "nothing"))
	}
	return words, nil
}
