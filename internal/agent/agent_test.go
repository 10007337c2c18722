package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheTokenGoesToItsSink(t *testing.T) {
	f, url := newFake(t)
	r := start(t, url, login+`
  sink "file" { config = { path = "$DIR/token" } }
}`)
	eventually(t, "the sink", func() bool { return r.read("token") == "token-1" })
	if info, err := os.Stat(filepath.Join(r.dir, "token")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if r.read("secret-id") != "" {
		t.Error("the secret id is still there")
	}
	r.end()
	if r.err != nil || f.count("PUT auth/token/revoke-self") != 0 {
		t.Errorf("%v, or the token of a sink was revoked", r.err)
	}
}

func TestTheTokenOfNobodyElseIsRevoked(t *testing.T) {
	f, url := newFake(t)
	r := start(t, url, login+`}
template {
  contents    = "{{ with secret \"secret/app\" }}{{ .Data.data.x }}{{ end }}"
  destination = "$DIR/app"
}`)
	eventually(t, "the file", func() bool { return r.read("app") == canary })
	r.end()
	if r.err != nil || f.count("PUT auth/token/revoke-self") != 1 {
		t.Errorf("%v, or the token lives", r.err)
	}
}

func TestATemplateFollowsItsSecretAndTellsTheServer(t *testing.T) {
	f, url := newFake(t)
	r := start(t, url, login+`}
template {
  contents    = "x=${vault:secret/app#x}\n"
  destination = "$DIR/sub/app"
  command     = "cat $DIR/sub/app >>$DIR/commands; echo ${VAULT_TOKEN-none} >>$DIR/commands"
}
template_config { static_secret_render_interval = "1s" }`)
	first := "x=" + canary + "\nnone\n"
	eventually(t, "the command", func() bool { return r.read("commands") == first })
	eventually(t, "the word", func() bool { return f.count(`POST sys/coffer/acknowledge {"instance"`) == 1 })
	f.change(func() { f.value, f.version = "second", 2 })
	eventually(t, "the change", func() bool { return r.read("commands") == first+"x=second\nnone\n" })
	f.change(func() { f.version = 3 }) // the same value: nothing is written
	eventually(t, "the word", func() bool { return f.count(`POST sys/coffer/acknowledge`) == 3 })
	if got := r.read("commands"); got != first+"x=second\nnone\n" {
		t.Errorf("commands: %q", got)
	}
}

func TestACommandThatFailsRunsAgain(t *testing.T) {
	_, url := newFake(t)
	r := start(t, url, login+`}
template {
  contents    = "${vault:secret/app#x}"
  destination = "$DIR/app"
  command     = "test -e $DIR/tried || { touch $DIR/tried; exit 3; }; touch $DIR/done"
}`)
	eventually(t, "the second run", func() bool { _, err := os.Stat(filepath.Join(r.dir, "done")); return err == nil })
	if !strings.Contains(r.log.String(), "exit status 3") {
		t.Errorf("the log does not tell:\n%s", r.log)
	}
}

func TestExitAfterAuthEndsWhenAllIsDone(t *testing.T) {
	_, url := newFake(t)
	r := start(t, url, "exit_after_auth = true\n"+login+`
  sink "file" { config = { path = "$DIR/token" } }
}
template {
  contents    = "${vault:secret/app#x}"
  destination = "$DIR/app"
}`)
	<-r.over
	if r.err != nil || r.read("app") != canary || r.read("token") != "token-1" {
		t.Errorf("%v, app %q", r.err, r.read("app"))
	}
}

func TestAFailedLoginIsTriedAgainOrEndsTheAgent(t *testing.T) {
	f, url := newFake(t)
	f.refuse = true
	text := strings.Replace(login, "config =", "min_backoff = \"1s\"\n config =", 1) + `
  sink "file" { config = { path = "$DIR/token" } }
}`
	r := start(t, url, text)
	eventually(t, "a second try", func() bool { return f.count("PUT auth/approle/login") > 1 })
	f.change(func() { f.refuse = false })
	eventually(t, "the sink", func() bool { return r.read("token") != "" })

	f.change(func() { f.refuse = true })
	strict := start(t, url, strings.Replace(text, "min_backoff", "exit_on_err = true\n min_backoff", 1))
	<-strict.over
	if strict.err == nil || !strings.Contains(strict.err.Error(), "invalid role or secret ID") {
		t.Errorf("%v", strict.err)
	}
}

func TestATokenFileIsUsedAndNotRevoked(t *testing.T) {
	f, url := newFake(t)
	r := start(t, url, `
vault { address = "$SERVER" }
auto_auth {
  method "token_file" { config = { token_file_path = "$DIR/role-id" } }
}
template {
  contents    = "${vault:secret/app#x}"
  destination = "$DIR/app"
}`)
	eventually(t, "the file", func() bool { return r.read("app") == canary })
	r.end()
	if n := f.count("PUT auth/token/revoke-self"); n != 0 {
		t.Error("the token was revoked")
	}
}

func TestAProgramGetsItsVariablesAndIsRestarted(t *testing.T) {
	f, url := newFake(t)
	r := start(t, url, login+`}
env_template "APP_X" { contents = "{{ with secret \"secret/app\" }}{{ .Data.data.x }}{{ end }}" }
exec {
  command = ["sh", "-c", "echo $APP_X; test $APP_X != last || exit 7; exec cat $DIR/fifo"]
  restart_stop_signal = "SIGKILL"
}
template_config { static_secret_render_interval = "1s" }`)
	if err := mkfifo(filepath.Join(r.dir, "fifo")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the program", func() bool { return r.out.String() == canary+"\n" })
	f.change(func() { f.value = "last" })
	<-r.over
	if r.err != nil || r.code != 7 || r.out.String() != canary+"\nlast\n" {
		t.Errorf("code %d, %v, %q", r.code, r.err, r.out)
	}
	if f.count(`POST sys/coffer/acknowledge {"instance":`) < 2 || f.count("PUT auth/token/revoke-self") != 1 {
		t.Errorf("the server was not told of the end: %q", f.seen)
	}
}

func TestATokenThatHasEndedIsReplaced(t *testing.T) {
	f, url := newFake(t)
	f.ttl = 2 // renewals give no more: that is near the end
	r := start(t, url, login+`
  sink "file" { config = { path = "$DIR/token" } }
}`)
	eventually(t, "a renewal", func() bool { return f.count("PUT auth/token/renew-self") > 0 })
	f.change(func() { f.ttl = 0 })
	eventually(t, "another token", func() bool { return r.read("token") == "token-2" })
}
