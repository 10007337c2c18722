package canary_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/cofferhq/coffer/internal/servertest"
)

// keyDoors are ceremonies of those who hold keys.
var keyDoors = []*door{
	{name: "share that is none", plant: func(w *world, s string) {
		for _, path := range []string{"sys/unseal", "sys/rekey/update", "sys/rekey/verify", "sys/generate-root/update"} {
			w.do("PUT", path, `{"key":"`+s+`","nonce":"`+s+`"}`)
			w.do("PUT", path, fmt.Sprintf(`{"key":"%x","nonce":%q}`, s, s))
		}
	}},
	{name: "shares of a rekey", madeByServer: true, plant: func(w *world, _ string) {
		nonce := w.must("PUT", "sys/rekey/init", `{"secret_shares":1,"secret_threshold":1,"require_verification":true}`).text("nonce")
		w.do("GET", "sys/rekey/init", "")
		a := w.must("PUT", "sys/rekey/update", fmt.Sprintf(`{"key":%q,"nonce":%q}`, w.server.Share, nonce))
		share := a.text("keys_base64.0")
		w.watch("share of a rekey", decoded(w, share))
		w.do("PUT", "sys/rekey/verify", fmt.Sprintf(`{"key":%q,"nonce":%q}`, w.server.Share, a.text("verification_nonce"))).refused()
		w.do("PUT", "sys/rekey/verify", fmt.Sprintf(`{"key":%q,"nonce":%q}`, share, a.text("verification_nonce")))
		w.server.Share = share
	}},
	{name: "generated root token", madeByServer: true, plant: func(w *world, _ string) {
		a := w.must("PUT", "sys/generate-root/attempt", `{}`)
		otp := a.text("otp")
		w.watch("one-time pad", otp)
		w.do("GET", "sys/generate-root/attempt", "")
		encoded := w.must("PUT", "sys/generate-root/update", fmt.Sprintf(`{"key":%q,"nonce":%q}`, w.server.Share, a.text("nonce"))).text("encoded_root_token")
		token := decoded(w, encoded+strings.Repeat("=", -len(encoded)&3))
		clear := make([]byte, len(token))
		for i := range clear {
			clear[i] = token[i] ^ otp[i]
		}
		w.watch("root token under the pad", token)
		w.watch("generated root token", string(clear))
		w.must("POST", "auth/token/revoke-self", "", "X-Vault-Token", string(clear))
	}},
	{name: "one-time pad that the caller chooses", plant: func(w *world, s string) {
		w.do("PUT", "sys/generate-root/attempt", `{"otp":"`+s[:9]+`"}`).refused()
		w.must("PUT", "sys/generate-root/attempt", `{"otp":"`+s+s[:14]+`"}`)
		w.do("DELETE", "sys/generate-root/attempt", "")
	}},
}

var limitDoors = []*door{
	{name: "value of a request over the limit", plant: func(w *world, s string) {
		w.must("POST", "sys/quotas/config", `{"enable_rate_limit_audit_logging":true,"enable_rate_limit_response_headers":true}`)
		w.must("POST", "sys/quotas/rate-limit/slow", `{"path":"kv/","rate":0.001}`)
		w.do("POST", "kv/limited", `{"k":"`+s+`"}`)
		if a := w.do("POST", "kv/limited", `{"k":"`+s+`"}`); a.status != http.StatusTooManyRequests {
			w.t.Errorf("over the limit: %d %s", a.status, a.body)
		}
		w.must("DELETE", "sys/quotas/rate-limit/slow", "")
	}},
	{name: "value in a body that is too large", plant: func(w *world, s string) {
		body := `{"k":"` + s + `","more":"` + strings.Repeat("x", smallBody) + `"}`
		if a := w.ask(w.small, "POST", "kv/large", body, false); a.status != http.StatusRequestEntityTooLarge {
			w.t.Errorf("too large: %d %s", a.status, a.body)
		}
		w.do("POST", "secret/metadata/app", `{"custom_metadata":{"k":"`+s+strings.Repeat("x", smallBody)+`"}}`).refused()
		w.do("POST", "secret/metadata/app", `{"custom_metadata":{"k":"`+s+`\u0007"}}`).refused()
	}},
	{name: "value in a body that breaks off", plant: func(w *world, s string) {
		w.send(w.url, request(w, "kv/broken", 1000, `{"k":"`+s)).Close()
		w.refusal(halfClosed(w, w.send(w.url, request(w, "kv/broken", 1000, `{"k":"`+s))))
	}},
	{name: "value of a request whose caller is gone", plant: func(w *world, s string) {
		body := `{"k":"` + s + `"}`
		for range 20 {
			w.send(w.url, request(w, "kv/abandoned", len(body), body)).Close()
		}
	}},
}

// halfClosed sends no more.
func halfClosed(w *world, conn net.Conn) net.Conn {
	w.t.Helper()
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// request is the text of a write by the root token, with so much of its body.
func request(w *world, path string, length int, body string) string {
	return fmt.Sprintf("PUT /v1/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Vault-Token: %s\r\nContent-Length: %d\r\n\r\n%s",
		path, w.server.RootToken, length, body)
}

// wireDoors are what is not quite HTTP, or comes to the wrong listener.
var wireDoors = []*door{
	{name: "value in a malformed request", plant: func(w *world, s string) {
		for _, text := range []string{
			s + "\r\n\r\n", "GET /v1/" + s + "\r\n\r\n", "GET /v1/x HTTP/" + s + "\r\n\r\n", "GET /v1/x HTTP/1.1\r\nHost: x\r\n" + s + "\r\n\r\n",
			"GET /v1/x HTTP/1.1\r\nHost: x\r\nX-Vault-Token " + s + "\r\n\r\n", "GET /v1/x HTTP/1.1\r\nHost: a b" + s + "\r\n\r\n",
			"GET /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: " + s + "\r\n\r\n", "GET /v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: " + s + "\r\n\r\n",
			"POST /v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + s + "\r\n",
			"GET /v1/x HTTP/1.1\r\nHost: x\r\nExpect: " + s + "\r\n\r\n", "GET /v1/%zz" + s + " HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET /v1/x HTTP/1.1\r\nHost: x\r\nX-Vault-Token: " + s + strings.Repeat("x", 2<<20),
			s + " /v1/kv/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		} {
			w.refusal(halfClosed(w, w.sendSome(w.url, text)))
		}
	}},
	{name: "value sent without TLS to where TLS is spoken", plant: func(w *world, s string) {
		w.refusal(halfClosed(w, w.send(w.tls, "GET /v1/kv/x HTTP/1.1\r\nHost: x\r\nX-Vault-Token: "+s+"\r\n\r\n")))
		w.refusal(halfClosed(w, w.send(w.tls, s)))
	}},
	{name: "value in the place of HTTP/2's greeting", plant: func(w *world, s string) {
		_, address, _ := strings.Cut(w.tls, "://")
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, ServerName: s})
		if err != nil {
			w.t.Fatal(err)
		}
		w.note("%s", s)
		if _, err := io.WriteString(conn, s+s+"\r\n"); err != nil {
			w.t.Fatal(err)
		}
		w.refusal(conn)
	}},
}

// sendSome is send for what the server may not want to read to its end.
func (w *world) sendSome(url, text string) net.Conn {
	w.t.Helper()
	conn := w.send(url, "")
	w.note("%s", text)
	_, _ = io.WriteString(conn, text) // a refusal comes before the end
	return conn
}

// sealDoors are requests to a sealed server.
var sealDoors = []*door{
	{name: "value of a request to a sealed server", plant: func(w *world, s string) {
		w.must("PUT", "sys/seal", "")
		w.do("POST", "kv/sealed", `{"k":"`+s+`"}`).refused()
		w.do("POST", "kv/sealed", `{"k":"`+s).refused()
		w.do("GET", "kv/sealed?x="+s, "", "X-Vault-Token", s).refused()
		w.do("POST", "auth/userpass/login/ann", `{"password":"`+s+`"}`, "X-Vault-Token", "").refused()
		w.do("PUT", "sys/unseal", `{"key":"`+s+`"}`).refused()
		w.do("PUT", "sys/unseal", fmt.Sprintf(`{"key":"%x"}`, s)).refused()
		w.must("PUT", "sys/unseal", fmt.Sprintf(`{"key":%q}`, w.server.Share))
	}},
}

// shutdownDoor is a request that the end of the server overtakes.
var shutdownDoor = &door{name: "value of a request during shutdown", plant: func(w *world, s string) {
	body := `{"k":"` + s + `"}`
	conn := w.underWay("kv/late", body)
	w.stopped()
	w.waitForLog("stopping")
	if _, err := io.WriteString(conn, body[len(body)-1:]); err != nil {
		w.t.Fatal(err)
	}
	w.refusal(conn)
	if err := w.process.Wait(); err != nil {
		w.t.Errorf("the server does not stop properly: %v", err)
	}
}}

// dumpDoor is a request under way while the process is asked for its stacks.
var dumpDoor = &door{name: "value of a request in a dump of the stacks", plant: func(w *world, s string) {
	w.must("POST", "kv/dumped", `{"k":"`+s+`"}`)
	conn := w.underWay("kv/dumped", `{"k":"`+s+`"}`)
	defer conn.Close()
	w.lookAtProcesses()
	w.process.Signal(syscall.SIGQUIT)
	if err := w.process.Wait(); err == nil {
		w.t.Error("the process has survived SIGQUIT")
	}
	if !strings.Contains(w.process.Log(), "goroutine ") {
		w.t.Errorf("the process has dumped no stacks:\n%s", w.process.LastWords())
	}
}}

// underWay sends a write without the last byte of its body, and returns when the
// server reads that.
func (w *world) underWay(path, body string) net.Conn {
	w.t.Helper()
	head, begun, _ := strings.Cut(request(w, path, len(body), body[:len(body)-1]), "\r\n\r\n")
	conn := w.send(w.url, head+"\r\nExpect: 100-continue\r\n\r\n")
	// The server asks for the body when it begins to read it.
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(line, "100") {
		w.t.Fatalf("%q, %v", line, err)
	}
	w.note("%s", begun)
	if _, err := io.WriteString(conn, begun); err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// waitForLog waits until the server has printed a text.
func (w *world) waitForLog(text string) {
	w.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(servertest.StartTime)
	for !strings.Contains(w.process.Log(), text) {
		select {
		case <-tick.C:
		case <-limit:
			w.t.Fatalf("the server does not say %q:\n%s", text, w.process.LastWords())
		}
	}
}
