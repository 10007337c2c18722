package exec

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/source"
)

// keeper is a program that keeps a key in a file, beside its arguments and its
// environment.
const keeper = `#!/usr/bin/python3
import json, os, sys
q = json.load(sys.stdin)
here = os.path.dirname(os.path.abspath(__file__))
key = os.path.join(here, "key")
with open(os.path.join(here, "seen"), "a") as f:
    f.write(repr(sys.argv) + repr(dict(os.environ)) + q["action"] + "\n")
a = q["action"]
if a == "create":
    r = {"result": "ok", "values": {"key": "made-for-" + q["attempt"]}}
elif a == "set":
    open(key, "w").write(q["candidate"]["key"])
    r = {"result": "ok"}
elif a == "test":
    r = {"result": "ok" if open(key).read() == q["values"]["key"] else "refused"}
else:
    r = {"result": "unsupported"}
print(json.dumps(r))
`

func program(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func opened(t *testing.T, path string) source.Source {
	t.Helper()
	config, err := json.Marshal(map[string]any{"program": path, "fields": []string{"key"}})
	if err != nil {
		t.Fatal(err)
	}
	src, err := Kind([]string{path}).Open(config, source.Replace)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestAProgramIsAsked(t *testing.T) {
	path := program(t, keeper)
	src := opened(t, path)
	a := source.Attempt{ID: "A1", Rotation: "r", Number: 1}
	made, err := src.Create(t.Context(), a)
	if err != nil || made["key"].RevealText() != "made-for-A1" {
		t.Fatalf("%v, %v", made["key"].RevealText(), err)
	}
	a.Candidate = made
	if err := src.Set(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if err := src.Test(t.Context(), made); err != nil {
		t.Error(err)
	}
	if err := src.Test(t.Context(), source.Values{"key": secret.Text("other")}); !errors.Is(err, source.ErrRefused) {
		t.Error(err)
	}
	if err := src.Retire(t.Context(), a); err != nil {
		t.Error(err)
	}
	if _, err := src.Sessions(t.Context(), made); !errors.Is(err, source.ErrNoSessions) {
		t.Error(err)
	}
	seen, err := os.ReadFile(filepath.Join(filepath.Dir(path), "seen"))
	if err != nil || strings.Contains(string(seen), "made-for") || strings.Count(string(seen), "\n") != 6 {
		t.Errorf("arguments and environment: %s, %v", seen, err)
	}
}

func TestProgramsThatFail(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"ends with an error", "#!/bin/sh\ncat >/dev/null\necho CANARY >&2\nexit 3\n", `ended with exit status 3`},
		{"says nothing", "#!/bin/sh\ncat >/dev/null\n", "something else"},
		{"says too much", "#!/bin/sh\ncat >/dev/null\nhead -c 2000000 /dev/zero\n", "more than"},
		{"says why", "#!/bin/sh\ncat >/dev/null\n" + `echo '{"result":"failed","error":"no such tenant"}'` + "\n", "no such tenant"},
		{"says why with a secret", "#!/bin/sh\ncat >/dev/null\n" + `echo '{"result":"failed","error":"bad password CANARY"}'` + "\n", "failed to set"},
		{"hangs, with a child", "#!/bin/sh\nsleep 60 &\nwait\n", "in time"},
		{"is none", "not a program", "could not be run"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			err := opened(t, program(t, test.text)).Set(ctx, source.Attempt{Candidate: source.Values{"key": secret.Text("CANARY")}})
			if !errors.Is(err, logical.ErrUpstream) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "CANARY") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestOnlyAllowedProgramsRun(t *testing.T) {
	for _, config := range []string{`{"program":"/bin/sh"}`, `{"program":"../ok"}`, `{}`, `[]`} {
		_, err := Kind([]string{"/ok", "../ok"}).Open(json.RawMessage(config), source.Replace)
		if !errors.Is(err, logical.ErrInvalid) {
			t.Errorf("%s: %v", config, err)
		}
	}
}
