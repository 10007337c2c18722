package runner

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestParseFile(t *testing.T) {
	tests := []struct {
		text string
		want File
		err  string
	}{
		{"KEY=vault:secret/tls#key", File{Name: "KEY", Reference: "vault:secret/tls#key", Mode: 0o400}, ""},
		{"tls.crt=vault:secret/tls#key,mode=0440,owner=1000:50", File{Name: "tls.crt", Reference: "vault:secret/tls#key", Mode: 0o440, Owner: Owner{true, 1000, 50}}, ""},
		{"K=vault:a,b/c?default=x,y#z", File{Name: "K", Reference: "vault:a,b/c?default=x,y#z", Mode: 0o400}, ""},
		{"K=${vault:a#b}\n,mode=600", File{Name: "K", Reference: "${vault:a#b}\n", Mode: 0o600}, ""},
		{"c4n4ry", File{}, "want NAME=REFERENCE"},
		{"../K=vault:a#b", File{}, "want NAME=REFERENCE"},
		{".K=vault:a#b", File{}, "want NAME=REFERENCE"},
		{"K=,mode=0400", File{}, "K: the reference is missing"},
		{"K=c4n4ry,mode=0999", File{}, "K: mode must be an octal number"},
		{"K=c4n4ry,mode=0040", File{}, "K: mode must be an octal number"},
		{"K=c4n4ry,mode=4755", File{}, "K: mode must be an octal number"},
		{"K=c4n4ry,owner=root", File{}, "K: owner must be UID:GID"},
		{"K=c4n4ry,owner=-1:0", File{}, "K: owner must be UID:GID"},
		{"K=c4n4ry,owner=4294967295:0", File{}, "K: owner must be UID:GID"},
	}
	for _, tt := range tests {
		got, err := ParseFile(tt.text)
		if got != tt.want && tt.err == "" {
			t.Errorf("%q: %+v", tt.text, got)
		}
		if (err == nil) != (tt.err == "") || err != nil && (!strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), canary)) {
			t.Errorf("%q: %v, want %q", tt.text, err, tt.err)
		}
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add("KEY=vault:secret/tls#key,mode=0440,owner=1:2")
	f.Add("K=,,mode=1")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseFile(text)
		if err != nil {
			return
		}
		if strings.ContainsAny(got.Name, "/\x00") || strings.HasPrefix(got.Name, ".") {
			t.Errorf("%q is a name", got.Name)
		}
		if !strings.HasPrefix(text, got.Name+"="+got.Reference) || got.Mode&^fs.FileMode(0o777) != 0 {
			t.Errorf("%q gave %+v", text, got)
		}
	})
}

const lookAtFiles = `for f in "$PW_FILE" "$COFFER_FILES"/tls.crt "$CREDENTIALS_DIRECTORY"/A; do echo "${f##*/} $(stat -c %a "$f") $(cat "$f")"; done
echo "$(stat -c %a "$COFFER_FILES") $(stat -c %a "$COFFER_FILES"/..) A=$A NONE_FILE=$NONE_FILE"; echo "$COFFER_FILES"`

func TestFilesHaveValues(t *testing.T) {
	o := try(t, []string{"A=vault:secret/db#password", "B=b"}, nil, func(o *Options) {
		o.Command = []string{"sh", "-c", lookAtFiles}
		o.Env = append(o.Env, "PATH="+os.Getenv("PATH"))
		o.Credentials = true
		for _, text := range []string{"PW=vault:secret/db#password", "tls.crt=${vault:secret/db#user}!,mode=0640", "NONE=vault:secret/db?optional#none"} {
			f, err := ParseFile(text)
			if err != nil {
				t.Fatal(err)
			}
			o.Files = append(o.Files, f)
		}
	})
	at := strings.LastIndex(strings.TrimSpace(o.out), "\n")
	want := "PW 400 c4n4ry-pw\ntls.crt 640 app!\nA 400 c4n4ry-pw\n700 700 A= NONE_FILE="
	if o.code != 0 || o.err != "" || at < 0 || o.out[:at] != want {
		t.Fatalf("code %d: %s\n%s\nwant\n%s", o.code, o.err, o.out, want)
	}
	if _, err := os.Stat(strings.TrimSpace(o.out[at:])); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}

// Who may hand files away is root.
func TestAFileHasAnOwner(t *testing.T) {
	o := try(t, nil, nil, func(o *Options) {
		o.Command = []string{"sh", "-c", `stat -c '%a %u:%g' "$K_FILE" "$COFFER_FILES" "$COFFER_FILES"/..`}
		o.Env = append(o.Env, "PATH="+os.Getenv("PATH"))
		f, err := ParseFile("K=vault:secret/db#password,owner=65534:65534")
		if err != nil {
			t.Fatal(err)
		}
		o.Files = []File{f}
	})
	if os.Geteuid() != 0 {
		if o.code != ExitLocal || !strings.Contains(o.err, "write K: ") {
			t.Errorf("code %d: %s", o.code, o.err)
		}
		return
	}
	if want := "400 65534:65534\n711 0:0\n711 0:0\n"; o.code != 0 || o.out != want {
		t.Errorf("code %d: %s\n%s\nwant\n%s", o.code, o.err, o.out, want)
	}
}

func TestFilesAreRefused(t *testing.T) {
	file := func(name, ref string) File { return File{Name: name, Reference: ref, Mode: defaultFileMode} }
	tests := []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"what is no reference", func(o *Options) { o.Files = []File{file("K", "c4n4ry")} }, "-file K: it is no reference"},
		{"what is malformed", func(o *Options) { o.Files = []File{file("K", "vault:c4n4ry")} }, "-file K: malformed reference"},
		{"a name twice", func(o *Options) { o.Files = []File{file("K", "vault:a#b"), file("K", "vault:a#c")} }, "-file K: it is given twice"},
		{"the login's name", func(o *Options) { o.Files = []File{file("VAULT_TOKEN", "vault:a#b")} }, "choose another name"},
		{"a template on a disk", func(o *Options) {
			o.AllowDisk, o.Templates = false, []Template{{write(t, "t", "x"), "/etc/never"}}
		}, "/etc/never does not lie in memory"},
		{"a template that is none", func(o *Options) { o.Templates = []Template{{write(t, "t", "{{ c4n4"), "x"}} }, "t:1: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := try(t, nil, []string{"exit", "0"}, tt.change)
			if o.code != ExitLocal || !strings.Contains(o.err, tt.want) {
				t.Errorf("code %d: %s", o.code, o.err)
			}
		})
	}
}

func TestATemplateIsRenderedForTheProgram(t *testing.T) {
	source := write(t, "app.tmpl", `{{ with secret "secret/data/db" }}user={{ .Data.data.user }}{{ end }} pw=${vault:secret/db#password}`)
	elsewhere := filepath.Join(t.TempDir(), "app.conf")
	o := try(t, nil, nil, func(o *Options) {
		o.Command = []string{"sh", "-c", `cat "$COFFER_FILES"/app.conf; stat -c %a "$COFFER_FILES"/app.conf; cat ` + elsewhere}
		o.Env = append(o.Env, "PATH="+os.Getenv("PATH"))
		o.Templates = []Template{{source, "app.conf"}, {source, elsewhere}}
		o.Scrub = true
	})
	if want := "user=app pw=[redacted]600\nuser=app pw=[redacted]"; o.code != 0 || o.out != want {
		t.Errorf("code %d: %s\n%q, want %q", o.code, o.err, o.out, want)
	}
	if _, err := os.Stat(elsewhere); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
}

func TestFilesFollowTheirSecrets(t *testing.T) {
	fake, cmd, out := following(t, "signal=HUP", []string{"RUNNER_TEST_FILES=K=vault:secret/changing#password"}, "$K_FILE")
	want(t, out, "value c4n4ry-1")
	fake.awaitUse(t, 1)
	fake.publish()
	want(t, out, "hangup", "value c4n4ry-2")
	fake.awaitUse(t, 2)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	want(t, out, "terminated")
	end(t, cmd, out, 7)
}

func TestFilesAreWrittenTogetherOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "none", "bad")
	if err := writeOutputs([]output{{path: good, content: []byte("x"), mode: 0o600}, {path: bad, mode: 0o600}}); err == nil {
		t.Error("a file was written to a folder that is not there")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
