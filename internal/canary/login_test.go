package canary_test

import (
	"encoding/base64"
	"fmt"
)

// decoded is what a key or share is, of which people have the base64.
func decoded(w *world, text string) string {
	w.t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

var loginDoors = []*door{
	{name: "password", plant: func(w *world, s string) {
		w.do("POST", "auth/userpass/users/ann", `{"password":"`+s+`","token_policies":"reader"}`)
		w.do("GET", "auth/userpass/users/ann", "")
		a := w.must("POST", "auth/userpass/login/ann", `{"password":"`+s+`"}`, "X-Vault-Token", "")
		w.watch("token of a login with a password", a.text("auth.client_token"))
		w.do("POST", "auth/userpass/users/ann/password", `{"password":"`+s+`"}`)
	}},
	{name: "wrong password", plant: func(w *world, s string) {
		for range 6 { // until the user is locked out
			w.do("POST", "auth/userpass/login/ann", `{"password":"`+s+`"}`, "X-Vault-Token", "").refused()
		}
		w.do("POST", "auth/userpass/login/nobody", `{"password":"`+s+`"}`, "X-Vault-Token", "").refused()
		w.do("POST", "auth/userpass/login/ann", `{"password":["`+s+`"]}`, "X-Vault-Token", "").refused()
		w.do("POST", "auth/userpass/users/bob", `{"password":["`+s+`"],"password_hash":"`+s+`"}`).refused()
		w.do("POST", "auth/userpass/users/bob", `{"password_hash":"$2a$10$`+s+`"}`).refused()
	}},
	{name: "secret id", madeByServer: true, plant: func(w *world, _ string) {
		role := w.must("GET", "auth/approle/role/app/role-id", "").text("data.role_id")
		id := w.must("POST", "auth/approle/role/app/secret-id", `{}`).text("data.secret_id")
		w.watch("role id", role)
		w.watch("secret id", id)
		a := w.must("POST", "auth/approle/login", fmt.Sprintf(`{"role_id":%q,"secret_id":%q}`, role, id), "X-Vault-Token", "")
		w.watch("token of a login with a secret id", a.text("auth.client_token"))
		w.do("POST", "auth/approle/role/app/secret-id/lookup", fmt.Sprintf(`{"secret_id":%q}`, id))
		w.do("LIST", "auth/approle/role/app/secret-id", "")
		w.do("GET", "auth/approle/role/app", "")
	}},
	{name: "secret id that the caller chooses", plant: func(w *world, s string) {
		w.must("POST", "auth/approle/role/app/custom-secret-id", `{"secret_id":"`+s+`"}`)
		w.do("POST", "auth/approle/role/app/custom-secret-id", `{"secret_id":"`+s+`"}`).refused()
		w.do("POST", "auth/approle/role/app/secret-id/destroy", `{"secret_id":"`+s+`"}`)
	}},
	{name: "role id that the caller chooses", plant: func(w *world, s string) {
		w.must("POST", "auth/approle/role/app/role-id", `{"role_id":"`+s+`"}`)
		w.must("GET", "auth/approle/role/app/role-id", "").shows(s)
		w.must("POST", "auth/approle/role/other", `{}`)
		w.do("POST", "auth/approle/role/other/role-id", `{"role_id":"`+s+`"}`)
	}},
	{name: "wrong secret id", plant: func(w *world, s string) {
		w.do("POST", "auth/approle/login", `{"role_id":"`+s+`","secret_id":"`+s+`"}`, "X-Vault-Token", "").refused()
		w.do("POST", "auth/approle/login", `{"role_id":"x","secret_id":"`+s+`"}`, "X-Vault-Token", "").refused()
		w.do("POST", "auth/approle/login", `{"secret_id":"`+s+`"}`, "X-Vault-Token", "").refused()
		w.do("POST", "auth/approle/role/app/secret-id/lookup", `{"secret_id":"`+s+`"}`)
		w.do("POST", "auth/approle/role/app/secret-id/destroy", `{"secret_id":"`+s+`"}`)
	}},
}

var tokenDoors = []*door{
	{name: "service token", madeByServer: true, plant: func(w *world, _ string) {
		a := w.must("POST", "auth/token/create", `{"policies":["default"],"ttl":"1h"}`)
		token := a.text("auth.client_token")
		w.watch("service token", token)
		w.do("GET", "secret/data/app", "", "X-Vault-Token", token).refused()
		w.do("POST", "auth/token/lookup-accessor", fmt.Sprintf(`{"accessor":%q}`, a.text("auth.accessor")))
		w.must("POST", "auth/token/lookup", fmt.Sprintf(`{"token":%q}`, token)).shows(token)
		w.do("POST", "sys/capabilities", fmt.Sprintf(`{"token":%q,"paths":["x"]}`, token))
		w.must("POST", "auth/token/renew", fmt.Sprintf(`{"token":%q}`, token))
		w.must("POST", "auth/token/renew-self", `{}`, "X-Vault-Token", token)
		w.do("POST", "auth/token/revoke", fmt.Sprintf(`{"token":%q}`, token))
		w.do("GET", "auth/token/lookup-self", "", "X-Vault-Token", token).refused()
	}},
	{name: "batch token", madeByServer: true, plant: func(w *world, _ string) {
		token := w.must("POST", "auth/token/create", `{"type":"batch","policies":["default"]}`).text("auth.client_token")
		w.watch("batch token", token)
		w.must("GET", "auth/token/lookup-self", "", "X-Vault-Token", token)
		w.do("POST", "auth/token/renew-self", "", "X-Vault-Token", token).refused()
		w.do("POST", "auth/token/revoke", fmt.Sprintf(`{"token":%q}`, token)).refused()
		w.do("POST", "cubbyhole/x", `{"a":"b"}`, "X-Vault-Token", token).refused()
	}},
	{name: "token that the caller chooses", plant: func(w *world, s string) {
		w.must("POST", "auth/token/create", `{"id":"`+s+`"}`).shows(s)
		w.do("POST", "auth/token/create", `{"id":"`+s+`"}`).refused()
		w.do("POST", "auth/token/create", `{"id":"cfs.`+s+`"}`).refused()
		w.do("POST", "auth/token/create", `{"id":"a b`+s+`"}`)
	}},
	{name: "token that is asked about and is none", plant: func(w *world, s string) {
		for _, verb := range []string{"lookup", "renew", "revoke", "revoke-orphan"} {
			w.do("POST", "auth/token/"+verb, `{"token":"`+s+`"}`)
		}
		for _, verb := range []string{"lookup-accessor", "renew-accessor", "revoke-accessor"} {
			w.do("POST", "auth/token/"+verb, `{"accessor":"`+s+`"}`)
		}
		w.do("POST", "sys/capabilities", `{"token":"`+s+`","paths":["x"]}`).refused()
		w.do("POST", "sys/leases/lookup", `{"lease_id":"`+s+`"}`).refused()
	}},
	// The operator's labels; audit devices of Vault show them too.
	{name: "metadata of a token", shows: shows{records: isMeta}, plant: func(w *world, s string) {
		a := w.must("POST", "auth/token/create", `{"policies":["default"],"meta":{"team":"`+s+`"},"display_name":"`+s+`"}`)
		w.must("GET", "auth/token/lookup-self", "", "X-Vault-Token", a.text("auth.client_token")).shows(s)
	}},
	{name: "metadata of a secret id", shows: shows{records: isMeta}, plant: func(w *world, s string) {
		role := w.must("GET", "auth/approle/role/app/role-id", "").text("data.role_id")
		id := w.must("POST", "auth/approle/role/app/secret-id", `{"metadata":"{\"team\":\"`+s+`\"}"}`).text("data.secret_id")
		w.must("POST", "auth/approle/login", fmt.Sprintf(`{"role_id":%q,"secret_id":%q}`, role, id), "X-Vault-Token", "").shows(s)
	}},
}

var wrappingDoors = []*door{
	{name: "content of a wrapped answer", plant: func(w *world, s string) {
		w.must("POST", "kv/wrapped", `{"password":"`+s+`"}`)
		a := w.do("GET", "kv/wrapped", "", "X-Vault-Wrap-TTL", "5m")
		token := a.text("wrap_info.token")
		w.saw(answers, "a wrapped answer, without its token", []byte(a.text("wrap_info.creation_path")))
		w.do("POST", "sys/wrapping/lookup", fmt.Sprintf(`{"token":%q}`, token))
		w.must("POST", "sys/wrapping/unwrap", fmt.Sprintf(`{"token":%q}`, token)).shows(s)
	}},
	{name: "wrapping token", madeByServer: true, plant: func(w *world, _ string) {
		token := w.must("GET", "kv/wrapped", "", "X-Vault-Wrap-TTL", "5m").text("wrap_info.token")
		w.watch("wrapping token", token)
		again := w.must("POST", "sys/wrapping/rewrap", fmt.Sprintf(`{"token":%q}`, token)).text("wrap_info.token")
		w.watch("wrapping token that replaces another", again)
		w.do("POST", "sys/wrapping/lookup", fmt.Sprintf(`{"token":%q}`, again))
		w.must("POST", "sys/wrapping/unwrap", "", "X-Vault-Token", again)
		w.do("POST", "sys/wrapping/unwrap", "", "X-Vault-Token", again).refused()
		w.do("POST", "sys/wrapping/unwrap", fmt.Sprintf(`{"token":%q}`, token)).refused()
	}},
	{name: "content that was wrapped by hand", plant: func(w *world, s string) {
		token := w.must("POST", "sys/wrapping/wrap", `{"password":"`+s+`"}`, "X-Vault-Wrap-TTL", "5m").text("wrap_info.token")
		w.must("POST", "sys/wrapping/unwrap", "", "X-Vault-Token", token).shows(s)
	}},
	{name: "wrapping token that is none", plant: func(w *world, s string) {
		for _, verb := range []string{"unwrap", "rewrap", "lookup"} {
			w.do("POST", "sys/wrapping/"+verb, `{"token":"`+s+`"}`).refused()
			w.do("POST", "sys/wrapping/"+verb, "", "X-Vault-Token", s).refused()
		}
	}},
	{name: "token of a wrapped login", madeByServer: true, plant: func(w *world, _ string) {
		wrap := w.must("POST", "auth/token/create", `{"policies":["default"]}`, "X-Vault-Wrap-TTL", "5m").text("wrap_info.token")
		w.watch("wrapping token of a login", wrap)
		w.watch("token in it", w.must("POST", "sys/wrapping/unwrap", "", "X-Vault-Token", wrap).text("auth.client_token"))
	}},
}
