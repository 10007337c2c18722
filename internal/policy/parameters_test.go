package policy

import (
	"encoding/json"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
)

func TestParameters(t *testing.T) {
	const any, none = `allowed_parameters = { "*" = [] }`, ``
	for _, c := range []struct {
		name, rules, body string
		want              bool
	}{
		// The examples of Vault's documentation.
		{"any value of a key", `allowed_parameters = { "bar" = [] }`, `{"bar":"x"}`, true},
		{"a key that is not listed", `allowed_parameters = { "bar" = [] }`, `{"foo":"x"}`, false},
		{"a value that is listed", `allowed_parameters = { "bar" = ["zip", "zap"] }`, `{"bar":"zap"}`, true},
		{"a value that is not listed", `allowed_parameters = { "bar" = ["zip", "zap"] }`, `{"bar":"zop"}`, false},
		{"one key restricted, others free", `allowed_parameters = { "bar" = ["zip"] "*" = [] }`, `{"foo":"x","bar":"zip"}`, true},
		{"one key restricted, others free, wrong value", `allowed_parameters = { "bar" = ["zip"] "*" = [] }`, `{"bar":"x"}`, false},
		{"a glob at the end", `allowed_parameters = { "bar" = ["foo-*"] }`, `{"bar":"foo-1"}`, true},
		{"a glob at the beginning", `allowed_parameters = { "bar" = ["*-foo"] }`, `{"bar":"1-foo"}`, true},
		{"a glob at both ends", `allowed_parameters = { "bar" = ["*foo*"] }`, `{"bar":"1foo2"}`, true},
		{"a glob that misses", `allowed_parameters = { "bar" = ["foo-*"] }`, `{"bar":"1-foo"}`, false},
		{"a denied key", `denied_parameters = { "bar" = [] }`, `{"bar":"x"}`, false},
		{"a key that is not denied", `denied_parameters = { "bar" = [] }`, `{"foo":"x"}`, true},
		{"a denied value", `denied_parameters = { "bar" = ["zip"] }`, `{"bar":"zip"}`, false},
		{"a value that is not denied", `denied_parameters = { "bar" = ["zip"] }`, `{"bar":"zap"}`, true},
		{"all denied", `denied_parameters = { "*" = [] }`, `{"x":1}`, false},
		{"all denied, but none given", `denied_parameters = { "*" = [] }`, `{}`, true},

		{"denied wins over allowed", `allowed_parameters = { "*" = [] } denied_parameters = { "bar" = [] }`, `{"bar":1}`, false},
		{"no rule", none, `{"bar":1}`, true},
		{"all allowed", any, `{"bar":{"x":1}}`, true},
		{"none given", `allowed_parameters = { "bar" = [] }`, ``, true},
		{"no object", `allowed_parameters = { "bar" = [] }`, `null`, true},
		{"names in any case", `allowed_parameters = { "Bar" = [] }`, `{"bAR":1}`, true},
		{"a name that stands twice", `denied_parameters = { "bar" = ["zip"] }`, `{"bar":"zip","bar":"zap"}`, false},
		{"a name that is a star", `allowed_parameters = { "*" = [] "bar" = ["x"] }`, `{"*":1}`, true},
		{"a lone star is no glob", `allowed_parameters = { "bar" = ["*"] }`, `{"bar":"x"}`, false},
		{"a number", `allowed_parameters = { "bar" = [5] }`, `{"bar":5.0}`, true},
		{"another number", `allowed_parameters = { "bar" = [5] }`, `{"bar":6}`, false},
		{"a number is no text", `allowed_parameters = { "bar" = ["5"] }`, `{"bar":5}`, false},
		{"a big number", `denied_parameters = { "bar" = [9007199254740993] }`, `{"bar":9007199254740993}`, false},
		{"its neighbour", `denied_parameters = { "bar" = [9007199254740993] }`, `{"bar":9007199254740992}`, true},
		{"a huge exponent", `denied_parameters = { "bar" = [1] }`, `{"bar":1e999999999}`, true},
		{"a boolean", `denied_parameters = { "bar" = [true] }`, `{"bar":true}`, false},
		{"a boolean in JSON", `denied_parameters = { "bar" = [true] }`, `{"bar":false}`, true},
		{"a list", `allowed_parameters = { "bar" = [["a", "b*"]] }`, `{"bar":["a","bc"]}`, true},
		{"a shorter list", `allowed_parameters = { "bar" = [["a", "b*"]] }`, `{"bar":["a"]}`, false},
		{"an object has no equal", `allowed_parameters = { "bar" = ["x"] }`, `{"bar":{"x":1}}`, false},
		{"a value without brackets", `allowed_parameters = { "bar" = "x" }`, `{"bar":"x"}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			acl := mustCompile(t, `path "p" { capabilities = ["create", "read", "update", "patch", "delete", "list"] `+c.rules+` }`)
			for _, op := range []logical.Op{logical.Create, logical.Update, logical.Patch, logical.Read} {
				if v := acl.Check(Query{Op: op, Path: "p", Body: json.RawMessage(c.body)}); v.Allowed != c.want {
					t.Errorf("%v: %+v", op, v)
				}
			}
			for _, op := range []logical.Op{logical.Delete, logical.List} {
				if v := acl.Check(Query{Op: op, Path: "p", Body: json.RawMessage(c.body)}); !v.Allowed {
					t.Errorf("%v has no parameters, but: %+v", op, v)
				}
			}
		})
	}
}

func TestParametersMergeOverPolicies(t *testing.T) {
	rule := func(s string) string { return `path "p" { capabilities = ["update"] ` + s + ` }` }
	for _, c := range []struct {
		name, a, b, body string
		want             bool
	}{
		{"values unite", `allowed_parameters = {"x" = ["1"]}`, `allowed_parameters = {"x" = ["2"]}`, `{"x":"1"}`, true},
		{"any value wins", `allowed_parameters = {"x" = ["1"]}`, `allowed_parameters = {"x" = []}`, `{"x":"3"}`, true},
		{"names unite", `allowed_parameters = {"x" = []}`, `allowed_parameters = {"y" = []}`, `{"x":1,"y":1}`, true},
		{"a policy without parameters lifts nothing", `allowed_parameters = {"x" = []}`, ``, `{"y":1}`, false},
		{"denied names unite", `denied_parameters = {"x" = []}`, `denied_parameters = {"y" = []}`, `{"y":1}`, false},
		{"any denied value wins", `denied_parameters = {"x" = ["1"]}`, `denied_parameters = {"x" = []}`, `{"x":"2"}`, false},
		{"required ones unite", `required_parameters = ["x"]`, `required_parameters = ["y"]`, `{"x":1}`, false},
		{"required ones, all there", `required_parameters = ["x"]`, `required_parameters = ["y", "x"]`, `{"x":1,"y":1}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, texts := range [][]string{{rule(c.a), rule(c.b)}, {rule(c.b), rule(c.a)}} {
				acl := mustCompile(t, texts...)
				v := acl.Check(Query{Op: logical.Update, Path: "p", Body: json.RawMessage(c.body)})
				if v.Allowed != c.want {
					t.Errorf("%q: %+v", texts, v)
				}
			}
		})
	}
}

func TestWrappingLimitsMergeToTheSmaller(t *testing.T) {
	acl := mustCompile(t,
		`path "p" { capabilities = ["read"] min_wrapping_ttl = 60 max_wrapping_ttl = 600 }`,
		`path "p" { capabilities = ["read"] min_wrapping_ttl = 30 max_wrapping_ttl = "5m" }`,
		`path "p" { capabilities = ["read"] }`)
	r := acl.exact["p"]
	if r.minWrapTTL.Seconds() != 30 || r.maxWrapTTL.Seconds() != 300 {
		t.Errorf("%v to %v", r.minWrapTTL, r.maxWrapTTL)
	}
}

// A compiled ACL shares nothing with others of the same policies.
func TestCompilingChangesNoPolicy(t *testing.T) {
	a := mustParse(t, "a", `path "p" { capabilities = ["update"] allowed_parameters = {"x" = ["1"]} }`)
	b := mustParse(t, "b", `path "p" { capabilities = ["update"] allowed_parameters = {"x" = [], "y" = []} }`)
	if _, err := Compile([]*Policy{a, b}, nil); err != nil {
		t.Fatal(err)
	}
	alone, err := Compile([]*Policy{a}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if alone.Check(Query{Op: logical.Update, Path: "p", Body: json.RawMessage(`{"x":"2"}`)}).Allowed {
		t.Error("compiling with another policy has widened this one")
	}
}
