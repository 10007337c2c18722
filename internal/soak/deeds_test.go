package soak

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

// secrets is how many there are on each mount.
const secrets = 50

const (
	ok      = http.StatusOK
	empty   = http.StatusNoContent
	missing = http.StatusNotFound
)

var deeds = []struct {
	name   string
	weight int
	do     func(u *user)
}{
	{"write with versions", 100, (*user).writeVersion},
	{"read with versions", 200, (*user).readVersion},
	{"patch", 50, (*user).patch},
	{"delete, undelete", 30, (*user).deleteVersion},
	{"delete for good", 5, (*user).deleteSecret},
	{"list", 30, (*user).list},
	{"write plain", 60, (*user).writePlain},
	{"read plain", 100, (*user).readPlain},
	{"delete plain", 10, (*user).deletePlain},
	{"login to a service token", 30, func(u *user) { u.login("service") }},
	{"login to a batch token", 30, func(u *user) { u.login("batch") }},
	{"login with a password", 3, (*user).loginWithPassword},
	{"token that expires", 30, (*user).expiringToken},
	{"token that is renewed", 20, (*user).renewedToken},
	{"tokens that are revoked", 20, (*user).revokedTokens},
	{"wrap and unwrap", 30, (*user).wrap},
	{"wrap and forget", 10, (*user).wrapAndForget},
	{"policy", 10, (*user).policy},
	{"mount", 3, (*user).mount},
	{"rotate", 1, (*user).rotate},
	{"rekey", 1, (*user).rekey},
	{"metrics", 5, (*user).scrape},
	{"health", 30, (*user).health},
	{"break off", 60, (*user).breakOffSomething},
	{"break a connection", 20, (*user).breakConnection},
}

func (u *user) name() string { return fmt.Sprint(u.dice.IntN(secrets)) }

func (u *user) value() string { return fmt.Sprintf("%0*d", 20+u.dice.IntN(500), u.dice.Int()) }

func (u *user) writeVersion() {
	u.ask(http.MethodPost, "secret/data/"+u.name(), settings{"data": settings{"v": u.value()}}, ok)
}

func (u *user) readVersion() { u.ask(http.MethodGet, "secret/data/"+u.name(), nil, ok, missing) }

func (u *user) patch() {
	u.askAs(u.house.root, client.Request{
		Method: http.MethodPatch, Path: "secret/data/" + u.name(), Body: settings{"data": settings{"w": u.value()}},
	}, ok, missing)
}

func (u *user) deleteVersion() {
	name := u.name()
	u.ask(http.MethodDelete, "secret/data/"+name, nil, empty)
	u.ask(http.MethodPost, "secret/undelete/"+name, settings{"versions": []int{1, 2, 3}}, empty, missing)
}

func (u *user) deleteSecret() { u.ask(http.MethodDelete, "secret/metadata/"+u.name(), nil, empty) }

func (u *user) list() {
	u.ask("LIST", "secret/metadata", nil, ok, missing)
	u.ask("LIST", "plain/", nil, ok, missing)
}

func (u *user) writePlain() {
	u.ask(http.MethodPut, "plain/"+u.name(), settings{"v": u.value()}, empty)
}

func (u *user) readPlain() { u.ask(http.MethodGet, "plain/"+u.name(), nil, ok, missing) }

func (u *user) deletePlain() { u.ask(http.MethodDelete, "plain/"+u.name(), nil, empty) }

// login logs in with a new secret id, and uses the token before it expires by
// itself.
func (u *user) login(role string) {
	id, good := u.ask(http.MethodGet, "auth/approle/role/"+role+"/role-id", nil, ok)
	if !good {
		return
	}
	s, good := u.ask(http.MethodPost, "auth/approle/role/"+role+"/secret-id", nil, ok)
	if !good {
		return
	}
	u.loginTo("auth/approle/login", settings{"role_id": id.Data["role_id"], "secret_id": s.Data["secret_id"]})
}

func (u *user) loginWithPassword() {
	u.loginTo("auth/userpass/login/somebody", settings{"password": "correct horse"})
}

func (u *user) loginTo(path string, body settings) {
	s, good := u.askAs(u.house.root.WithToken(""), client.Request{Method: http.MethodPost, Path: path, Body: body}, ok)
	if good {
		u.useToken(s.Auth, "secret/data/"+u.name())
	}
}

// useToken reads with a token. On a busy machine it may have expired meanwhile.
func (u *user) useToken(a *api.Auth, path string) {
	u.askAs(u.house.root.WithToken(a.ClientToken), client.Request{Method: http.MethodGet, Path: path}, ok, missing, http.StatusForbidden)
}

func (u *user) token(as *client.Client, more settings) *api.Auth {
	body := settings{"policies": "short", "ttl": "3s", "explicit_max_ttl": longestTTL.String()}
	for k, v := range more {
		body[k] = v
	}
	s, good := u.askAs(as, client.Request{Method: http.MethodPost, Path: "auth/token/create", Body: body}, ok, http.StatusForbidden)
	if !good {
		return nil
	}
	return s.Auth
}

func (u *user) expiringToken() {
	a := u.token(u.house.root, settings{"ttl": fmt.Sprintf("%ds", 1+u.dice.IntN(3)), "no_parent": u.dice.IntN(2) == 0})
	if a == nil {
		return
	}
	own := u.house.root.WithToken(a.ClientToken)
	u.askAs(own, client.Request{Method: http.MethodPut, Path: "cubbyhole/mine", Body: settings{"v": "1"}}, empty, http.StatusForbidden)
	u.token(own, nil) // a child, which goes with it
}

func (u *user) renewedToken() {
	a := u.token(u.house.root, nil)
	if a == nil {
		return
	}
	own := u.house.root.WithToken(a.ClientToken)
	u.askAs(own, client.Request{Method: http.MethodPost, Path: "auth/token/renew-self", Body: settings{"increment": "4s"}}, ok, http.StatusForbidden)
	u.ask(http.MethodPost, "auth/token/lookup-accessor", settings{"accessor": a.Accessor}, ok, missing, http.StatusForbidden)
}

// revokedTokens revokes a token in one of the ways that there are. A child of it
// goes, or is an orphan that expires.
func (u *user) revokedTokens() {
	a := u.token(u.house.root, nil)
	if a == nil {
		return
	}
	u.token(u.house.root.WithToken(a.ClientToken), nil)
	switch u.dice.IntN(3) {
	case 0:
		u.ask(http.MethodPost, "auth/token/revoke", settings{"token": a.ClientToken}, empty)
	case 1:
		u.ask(http.MethodPost, "auth/token/revoke-orphan", settings{"token": a.ClientToken}, empty, http.StatusBadRequest)
	default:
		u.ask(http.MethodPost, "auth/token/revoke-accessor", settings{"accessor": a.Accessor}, empty, http.StatusBadRequest)
	}
}

func (u *user) wrapped(ttl string) string {
	s, good := u.askAs(u.house.root, client.Request{
		Method: http.MethodPost, Path: "sys/wrapping/wrap", Body: settings{"v": u.value()}, WrapTTL: ttl,
	}, ok)
	if !good || s.WrapInfo == nil {
		return ""
	}
	return s.WrapInfo.Token
}

func (u *user) wrap() {
	if text := u.wrapped("60s"); text != "" {
		u.ask(http.MethodPost, "sys/wrapping/unwrap", settings{"token": text}, ok)
	}
}

func (u *user) wrapAndForget() { u.wrapped("2s") }

func (u *user) policy() {
	path := fmt.Sprintf("sys/policies/acl/of-%d", u.n)
	u.ask(http.MethodPut, path, settings{"policy": strings.ReplaceAll(shortPolicy, "secret", u.name())}, empty)
	u.ask(http.MethodGet, path, nil, ok)
	u.ask(http.MethodDelete, path, nil, empty)
}

func (u *user) mount() {
	path := fmt.Sprintf("mount-%d", u.n)
	if _, good := u.ask(http.MethodPost, "sys/mounts/"+path, settings{"type": "kv"}, empty); !good {
		return
	}
	u.ask(http.MethodPost, "sys/mounts/"+path+"/tune", settings{"description": "of a user"}, empty)
	u.ask(http.MethodPut, path+"/a", settings{"v": u.value()}, empty)
	u.ask(http.MethodDelete, "sys/mounts/"+path, nil, empty)
}

func (u *user) rotate() { u.ask(http.MethodPost, "sys/rotate", nil, empty) }

// rekey makes new unseal keys. It is not on record.
func (u *user) rekey() {
	if !u.rekeying.TryLock() {
		return
	}
	defer u.rekeying.Unlock()
	var begun api.Rekey
	if !u.unrecorded(http.MethodPut, "sys/rekey/init", settings{"secret_shares": 1, "secret_threshold": 1}, &begun) {
		return
	}
	var next api.RekeyUpdate
	if u.unrecorded(http.MethodPut, "sys/rekey/update", settings{"key": u.house.Share, "nonce": begun.Nonce}, &next) {
		u.house.Share = next.KeysBase64[0]
	}
}

func (u *user) scrape() {
	a, err := u.house.root.Raw(u.t.Context(), client.Request{Path: "sys/metrics", Query: map[string][]string{"format": {"prometheus"}}})
	if err != nil || a.Status != ok {
		u.t.Errorf("metrics: %v", err)
		return
	}
	u.answered.Add(1)
}

func (u *user) health() {
	var h api.Health
	u.unrecorded(http.MethodGet, "sys/health", nil, &h)
}

func (u *user) breakOffSomething() {
	switch u.dice.IntN(3) {
	case 0:
		u.breakOff(client.Request{Path: "secret/data/" + u.name()})
	case 1:
		u.breakOff(client.Request{Method: http.MethodPost, Path: "secret/data/" + u.name(), Body: settings{"data": settings{"v": u.value()}}})
	default:
		u.breakOff(client.Request{
			Method: http.MethodPost, Path: "auth/token/create", Body: settings{"policies": "short", "ttl": "2s"},
		})
	}
}

// breakConnection closes a connection in the middle of a request or of its answer.
func (u *user) breakConnection() {
	conn, err := u.house.dial(u.t.Context())
	if err != nil {
		u.t.Error(err)
		return
	}
	defer conn.Close()
	request := fmt.Sprintf("LIST /v1/secret/metadata HTTP/1.1\r\nHost: %s\r\nX-Vault-Token: %s\r\n\r\n", u.house.plain, u.house.RootToken)
	u.brokenOff.Add(1)
	conn.Write([]byte(request[:u.dice.IntN(len(request)+1)]))
}
