package policy

import (
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
)

func TestTemplates(t *testing.T) {
	who := &Identity{
		ID: "e-1", Name: "ada",
		Metadata: map[string]string{"team": "red", "odd.key": "dot", "empty": "", "star": "x*", "plus": "+", "phone": "+49", "deep": "a/b"},
		Aliases: []Alias{{
			ID: "al-1", Name: "ada@x", MountAccessor: "auth_userpass_1",
			Metadata: map[string]string{"org": "acme"}, CustomMetadata: map[string]string{"seat": "7"},
		}},
		Groups: []Group{{ID: "g-1", Name: "dev.ops", Metadata: map[string]string{"floor": "3"}}},
	}
	for _, c := range []struct{ name, pattern, path string }{
		{"entity id", "s/{{identity.entity.id}}/*", "s/e-1/x"},
		{"entity name, with spaces", "s/{{ identity.entity.name }}", "s/ada"},
		{"entity metadata", "s/{{identity.entity.metadata.team}}", "s/red"},
		{"a key with a dot", "s/{{identity.entity.metadata.odd.key}}", "s/dot"},
		{"two in one path", "{{identity.entity.metadata.team}}/+/{{identity.entity.id}}", "red/x/e-1"},
		{"a value with a slash", "s/{{identity.entity.metadata.deep}}", "s/a/b"},
		{"alias id", "s/{{identity.entity.aliases.auth_userpass_1.id}}", "s/al-1"},
		{"alias name", "s/{{identity.entity.aliases.auth_userpass_1.name}}", "s/ada@x"},
		{"alias metadata", "s/{{identity.entity.aliases.auth_userpass_1.metadata.org}}", "s/acme"},
		{"alias custom metadata", "s/{{identity.entity.aliases.auth_userpass_1.custom_metadata.seat}}", "s/7"},
		{"group name by id", "s/{{identity.groups.ids.g-1.name}}", "s/dev.ops"},
		{"group id by name", "s/{{identity.groups.names.dev.ops.id}}", "s/g-1"},
		{"group metadata by id", "s/{{identity.groups.ids.g-1.metadata.floor}}", "s/3"},
		{"group metadata by name", "s/{{identity.groups.names.dev.ops.metadata.floor}}", "s/3"},
		{"a plus that is no segment", "s/{{identity.entity.metadata.phone}}", "s/+49"},
		{"a leading slash", "/{{identity.entity.id}}", "e-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := `path "` + c.pattern + `" { capabilities = ["read"] }`
			if !mustParse(t, "a", text).Templated() {
				t.Error("not templated")
			}
			if !mustCompileFor(t, who, text).Check(Query{Op: logical.Read, Path: c.path}).Allowed {
				t.Error("no right")
			}
			if mustCompile(t, text).AnyBelow("") {
				t.Error("a right for nobody in particular")
			}
		})
	}
}

func TestTemplatesThatDropTheirRule(t *testing.T) {
	who := &Identity{
		ID: "e-1", Metadata: map[string]string{"empty": "", "star": "x*", "plus": "+", "plusplus": "a/+/b"},
		Aliases: []Alias{{ID: "al", MountAccessor: "acc"}}, Groups: []Group{{ID: "g", Name: "n"}},
	}
	for _, name := range []string{
		"identity.entity.metadata.none", "identity.entity.metadata.empty", "identity.entity.name", "identity.entity",
		"identity.entity.aliases.other.id", "identity.entity.aliases.acc.metadata.x", "identity.entity.aliases.acc.what",
		"identity.groups.ids.other.name", "identity.groups.names.g.id", "identity.groups.ids.g.metadata.x", "identity.groups.x.y.z",
		"identity.entity.metadata.star", "identity.entity.metadata.plus", "identity.entity.metadata.plusplus",
		"something.else",
	} {
		t.Run(name, func(t *testing.T) {
			acl := mustCompileFor(t, who, `path "s/{{`+name+`}}/x" { capabilities = ["read"] } path "t" { capabilities = ["read"] }`)
			if acl.AnyBelow("s") {
				t.Errorf("a right: %v", acl.Resultant())
			}
			if !acl.AnyBelow("t") {
				t.Error("the other rule is gone too")
			}
		})
	}
}

// What a template fills in is one path with what is written out.
func TestTemplatesMergeWithPlainPaths(t *testing.T) {
	acl := mustCompileFor(t, &Identity{ID: "e-1"},
		`path "s/{{identity.entity.id}}/*" { capabilities = ["read"] }`,
		`path "s/e-1/*" { capabilities = ["deny"] }`)
	if acl.Check(Query{Op: logical.Read, Path: "s/e-1/x"}).Allowed {
		t.Error("deny has not won")
	}
}
