package canary_test

import (
	"fmt"
	"strings"
)

// inPath is why names are on record: they are the paths of requests.
const (
	inPath  = "paths are on record as they are"
	inKeys  = "names of fields are on record as they are"
	byRule  = "the operator has this header recorded as it is"
	isOwn   = "the caller is told what it has said"
	isMeta  = "what logins and tokens are labelled with is on record as it is"
	isGiven = "the program is to have it"
)

// devices are the audit devices that write to files.
var devices = []struct{ name, options string }{
	{"plain", ``},
	{"elided", `,"elide_list_responses":"true","hmac_accessor":"false"`},
}

// prepare enables what the doors need.
func (w *world) prepare() {
	w.t.Helper()
	w.at = &door{name: "preparing"}
	for _, device := range devices {
		w.must("PUT", "sys/audit/"+device.name, fmt.Sprintf(`{"type":"file","options":{"file_path":%q%s}}`, w.path("audit/"+device.name+".log"), device.options))
	}
	w.must("PUT", "sys/audit/output", `{"type":"file","options":{"file_path":"stdout"}}`)
	w.must("PUT", "sys/config/auditing/request-headers/X-Hashed", `{"hmac":true}`)
	w.must("PUT", "sys/config/auditing/request-headers/X-Plain", `{"hmac":false}`)
	for _, header := range []string{"X-Vault-Token", "Authorization", "Cookie", "Proxy-Authorization"} {
		w.must("PUT", "sys/config/auditing/request-headers/"+header, `{"hmac":false}`) // hashed whatever is said
	}
	w.must("POST", "sys/mounts/secret", `{"type":"kv","options":{"version":"2"}}`)
	w.must("POST", "sys/mounts/kv", `{"type":"kv","options":{"version":"1"}}`)
	w.must("POST", "sys/auth/userpass", `{"type":"userpass"}`)
	w.must("POST", "sys/auth/approle", `{"type":"approle"}`)
	w.must("PUT", "sys/policies/acl/reader", `{"policy":"path \"secret/*\" { capabilities = [\"read\"] }"}`)
	w.must("POST", "secret/data/app", `{"data":{"k":"v"}}`)
	w.must("POST", "auth/approle/role/app", `{"token_policies":"default"}`)
}

// firstDoors are what the server was opened with.
var firstDoors = []*door{
	{name: "root token", madeByServer: true, plant: func(w *world, _ string) {
		w.watch("root token", w.server.RootToken)
		w.must("GET", "secret/data/app", "", "X-Vault-Token", w.server.RootToken)
	}},
	{name: "unseal key", madeByServer: true, plant: func(w *world, _ string) {
		w.watch("unseal key", decoded(w, w.server.Share))
		w.do("PUT", "sys/unseal", fmt.Sprintf(`{"key":%q}`, w.server.Share))
	}},
}

var kvDoors = []*door{
	{name: "value in KV version 2", plant: func(w *world, s string) {
		w.do("POST", "secret/data/kv2", `{"data":{"password":"`+s+`","deep":{"list":["`+s+`"]}}}`)
		w.must("GET", "secret/data/kv2", "").shows(s)
		w.do("POST", "secret/data/kv2", `{"data":{"password":"`+s+`"}}`)
		for _, path := range []string{"secret/metadata/kv2", "secret/subkeys/kv2", "secret/config"} {
			w.do("GET", path, "")
		}
		w.do("LIST", "secret/metadata", "")
		w.do("DELETE", "secret/data/kv2", "")
		w.do("GET", "secret/data/kv2", "")
		w.do("POST", "secret/undelete/kv2", `{"versions":[2]}`)
		w.do("POST", "secret/destroy/kv2", `{"versions":[1]}`)
		w.do("GET", "secret/data/kv2?version=1", "")
	}},
	{name: "value in KV version 1", plant: func(w *world, s string) {
		w.do("POST", "kv/one", `{"password":"`+s+`"}`)
		w.must("GET", "kv/one", "").shows(s)
		w.do("LIST", "kv/", "")
	}},
	{name: "value with characters that are escaped", plant: func(w *world, s string) {
		w.watch("value that begins with what is escaped", `"<`+"\u00e9"+`>&\`+s)
		w.do("POST", "kv/escaped", `{"password":"`+s+`\u0022\n<&>\\\u00e9\u2028","other":"\"<\u00e9>&\\`+s+`"}`)
		w.must("GET", "kv/escaped", "").shows(s)
	}},
	{name: "value that was overwritten and deleted", plant: func(w *world, s string) {
		w.do("POST", "kv/gone", `{"password":"`+s+`"}`)
		w.do("POST", "kv/gone", `{"password":"other"}`)
		w.do("DELETE", "kv/gone", "")
	}},
	{name: "name of a secret", shows: shows{records: inPath}, plant: func(w *world, s string) {
		w.must("POST", "secret/data/"+s, `{"data":{"k":"v"}}`)
		w.must("POST", "kv/"+s, `{"k":"v"}`)
		w.must("LIST", "secret/metadata", "").shows(s)
		w.must("LIST", "kv", "").shows(s)
	}},
	{name: "name of a folder", shows: shows{records: inPath}, plant: func(w *world, s string) {
		w.must("POST", "secret/data/a/"+s+"/b", `{"data":{"k":"v"}}`)
		w.must("LIST", "secret/metadata/a", "").shows(s)
	}},
	{name: "name of a key", shows: shows{records: inKeys}, plant: func(w *world, s string) {
		w.must("POST", "secret/data/keys", `{"data":{"`+s+`":"v"}}`)
		w.must("GET", "secret/subkeys/keys", "").shows(s)
	}},
	{name: "name of a mount", shows: shows{records: inPath, state: "who may list mounts sees them"}, plant: func(w *world, s string) {
		w.must("POST", "sys/mounts/"+s, `{"type":"kv"}`)
		w.must("GET", "sys/mounts", "").shows(s)
	}},
	{name: "custom metadata", plant: func(w *world, s string) {
		w.must("POST", "secret/metadata/about", `{"custom_metadata":{"owner":"`+s+`"}}`)
		w.must("GET", "secret/metadata/about", "").shows(s)
		w.must("PATCH", "secret/metadata/about", `{"custom_metadata":{"more":"`+s+`"}}`, "Content-Type", "application/merge-patch+json")
	}},
	{name: "body of a patch", plant: func(w *world, s string) {
		w.must("POST", "secret/data/patched", `{"data":{"k":"v"}}`)
		w.must("PATCH", "secret/data/patched", `{"data":{"user":"`+s+`"}}`, "Content-Type", "application/merge-patch+json")
		w.must("GET", "secret/data/patched", "").shows(s)
	}},
	{name: "what cubbyholes hold", plant: func(w *world, s string) {
		w.must("POST", "cubbyhole/x", `{"k":"`+s+`"}`)
		w.must("GET", "cubbyhole/x", "").shows(s)
	}},
	{name: "text to be hashed", plant: func(w *world, s string) {
		w.do("POST", "sys/tools/hash", `{"input":"`+s+`"}`)
		w.do("POST", "sys/audit-hash/plain", `{"input":"`+s+`"}`)
	}},
}

const brokenPolicy = `path \"secret/*\" { capabilities = [\"read\"] `

// brokenDoors are requests that are refused.
var brokenDoors = []*door{
	{name: "value of a write that check-and-set refuses", plant: func(w *world, s string) {
		w.do("POST", "secret/data/app", `{"data":{"k":"`+s+`"},"options":{"cas":77}}`).refused()
	}},
	{name: "value in JSON that is cut off", plant: func(w *world, s string) {
		w.do("POST", "secret/data/app", `{"data":{"k":"`+s+`"`).refused()
		w.do("POST", "sys/unseal", `{"key":"`+s+`"`).refused()
	}},
	{name: "value in JSON that goes wrong at it", plant: func(w *world, s string) {
		w.do("POST", "secret/data/app", `{"data":{"k": `+s+`}}`).refused()
		w.do("POST", "kv/x", s).refused()
		w.do("POST", "kv/x", `"`+s+`"`).refused()
		w.do("POST", "kv/x", `["`+s+`"]`).refused()
		w.do("PUT", "sys/init", s).refused()
	}},
	{name: "value of another type than wanted", plant: func(w *world, s string) {
		w.do("POST", "secret/data/app", `{"data":"`+s+`"}`).refused()
		w.do("POST", "secret/data/app", `{"data":{"k":"v"},"options":{"cas":"`+s+`"}}`).refused()
		w.do("POST", "secret/metadata/app", `{"max_versions":"`+s+`","custom_metadata":"`+s+`"}`).refused()
		w.do("PUT", "sys/unseal", `{"key":{"`+s+`":1}}`).refused()
		w.do("PUT", "sys/unseal", `{"reset":"`+s+`"}`).refused()
		w.do("PUT", "sys/init", `{"secret_shares":"`+s+`"}`).refused()
	}},
	{name: "value of a patch with the wrong content type", plant: func(w *world, s string) {
		w.do("PATCH", "secret/data/app", `{"data":{"k":"`+s+`"}}`).refused()
	}},
	{name: "value of a field that nobody knows", plant: func(w *world, s string) {
		w.do("POST", "secret/metadata/app", `{"pasword":"`+s+`"}`)
		w.do("POST", "secret/data/app", `{"pasword":"`+s+`"}`)
		w.do("PUT", "sys/policies/acl/x", `{"pasword":"`+s+`"}`)
		w.do("POST", "auth/token/create", `{"pasword":"`+s+`","period":"x"}`)
		w.do("POST", "sys/auth/approle/tune", `{"pasword":"`+s+`"}`)
	}},
	{name: "value of a form", plant: func(w *world, s string) {
		w.must("POST", "kv/form", "password="+s, "Content-Type", "application/x-www-form-urlencoded")
		w.must("GET", "kv/form", "").shows(s)
		w.do("POST", "kv/form", "password=%zz"+s, "Content-Type", "application/x-www-form-urlencoded").refused()
		w.do("POST", "kv/form", "--b\r\n\r\n"+s+"\r\n--b--", "Content-Type", "multipart/form-data; boundary=b").refused()
	}},
	{name: "value in the query", plant: func(w *world, s string) {
		w.do("GET", "secret/data/app?password="+s, "")
		w.do("GET", "secret/data/app?version="+s, "").refused()
		w.do("GET", "secret/metadata?list="+s, "").refused()
		w.do("POST", "secret/data/app?token="+s, "{}").refused()
		w.do("GET", "sys/health?activecode="+s, "").refused()
		w.do("DELETE", "kv/x?password="+s, "")
		w.do("GET", "secret/data/app?bad=%zz"+s, "")
	}},
	{name: "name in the query", shows: shows{records: inKeys}, plant: func(w *world, s string) {
		w.do("GET", "secret/data/app?"+s, "")
		w.do("GET", "secret/data/app?help=1&"+s, "")
	}},
	{name: "value in the path", shows: shows{records: inPath, answers: isOwn}, plant: func(w *world, s string) {
		w.do("GET", "secret/data/app/"+s, "")
		w.do("GET", "nowhere/"+s, "").refused()
		w.do("GET", s, "").refused()
		w.do("GET", "secret//"+s, "")
		w.do("GET", "secret/../"+s, "")
		w.do("GET", "sys/"+s, "").refused()
		w.do("GET", "sys/internal/ui/mounts/"+s, "").refused()
		w.do("POST", "sys/policies/acl/"+s, `{"policy":"x"}`).refused()
		w.do("GET", "secret/data/app?"+strings.Repeat("x", 10)+"&help=1", "")
		w.do("POST", "auth/userpass/login/"+s, `{"password":"x"}`).refused()
		w.do("POST", "sys/leases/revoke/"+s, "")
		w.do("GET", "auth/token/roles/"+s, "")
	}},
	{name: "text of a policy that is no policy", plant: func(w *world, s string) {
		for _, text := range []string{
			brokenPolicy + s, s, `password = ` + s, brokenPolicy + "} \\n" + s + ` = \"x`, `path \"x\" { capabilities = [` + s + `] }`,
			`path \"x\" { capabilities = [\"read\"] min_wrapping_ttl = \"` + s + `\" }`, `path \"x\" { policy = [{ a = \"` + s + `\" }] }`,
			`{\"path\": {\"x\": ` + s + `}}`, `path \"x\" { allowed_parameters = \"` + s + `\" }`, `path \"x\" = \"` + s + `\"`,
			`# ` + s + `\npath`, `/* ` + s,
		} {
			w.do("PUT", "sys/policies/acl/broken", `{"policy":"`+text+`"}`).refused()
		}
	}},
}

var headerDoors = []*door{
	{name: "token that nobody knows", plant: func(w *world, s string) {
		for _, text := range []string{s, "cfs." + s, "cfb." + s, "hvs." + s} {
			w.do("GET", "secret/data/app", "", "X-Vault-Token", text).refused()
			w.do("GET", "secret/data/app", "", "X-Vault-Token", "", "Authorization", "Bearer "+text).refused()
		}
		w.do("GET", "secret/data/app", "", "X-Vault-Token", "", "Authorization", "Basic "+s).refused()
	}},
	{name: "header that is recorded as a hash", plant: func(w *world, s string) {
		for _, name := range []string{"X-Hashed", "Cookie", "Proxy-Authorization", "Authorization"} {
			w.must("GET", "secret/data/app", "", name, s)
		}
	}},
	{name: "header that is recorded as it is", shows: shows{records: byRule}, plant: func(w *world, s string) {
		w.must("GET", "secret/data/app", "", "X-Plain", s)
	}},
	{name: "header that nobody asks for", plant: func(w *world, s string) {
		for _, name := range []string{"X-Secret", "User-Agent", "Referer", "Origin", "Host", "Accept", "X-Forwarded-For", "X-Vault-MFA", "X-Vault-Wrap-TTL", "If-None-Match"} {
			w.do("GET", "secret/data/app", "", name, s)
		}
	}},
	{name: "header that the refusal repeats", shows: shows{answers: isOwn}, plant: func(w *world, s string) {
		w.do("GET", "secret/data/app", "", "X-Vault-Namespace", s).refused()
		w.do("PATCH", "secret/data/app", "{}", "Content-Type", s).refused()
	}},
}
