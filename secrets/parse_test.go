package secrets

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParseReadsReferences(t *testing.T) {
	tests := []struct {
		name, text string
		want       Reference
	}{
		{"the short form", "vault:secret/db#password", Reference{Scheme: Vault, Path: "secret/db", Key: "password"}},
		{"the short form with a version", "vault:secret/db#password#3", Reference{Scheme: Vault, Path: "secret/db", Key: "password", Version: 3}},
		{"the short form decodes nothing but parameters", "vault:secret/a%20b?default=x%23y#k%20", Reference{Scheme: Vault, Path: "secret/a%20b", Key: "k%20"}.WithDefault("x#y")},
		{"a key with spaces", "vault:secret/db#the key", Reference{Scheme: Vault, Path: "secret/db", Key: "the key"}},
		{"a key that looks like a parameter", "vault:secret/db#what?", Reference{Scheme: Vault, Path: "secret/db", Key: "what?"}},
		{"a path into nested fields", "ref+vault://secret/db#/users/0/name", Reference{Scheme: RefVault, Path: "secret/db", Key: "/users/0/name"}},
		{"all parameters", "ref+vault://secret/db?version=2&namespace=team/a/&optional#/k", Reference{Scheme: RefVault, Path: "secret/db", Key: "/k", Version: 2, Namespace: "team/a", Optional: true}},
		{"a default", "ref+vault://secret/db?default=a=b%26c+d#/k", Reference{Scheme: RefVault, Path: "secret/db", Key: "/k"}.WithDefault("a=b&c+d")},
		{"an empty default", "vault:secret/db?default=#k", Reference{Scheme: Vault, Path: "secret/db", Key: "k"}.WithDefault("")},
		{"our own form", "coffer://secret/db#password", Reference{Scheme: Coffer, Path: "secret/db", Key: "password"}},
		{"a namespace", "coffer://team/a@secret/db?version=7#password", Reference{Scheme: Coffer, Namespace: "team/a", Path: "secret/db", Version: 7, Key: "password"}},
		{"escapes", "coffer://secret/bob%40example.com%20#a%23b", Reference{Scheme: Coffer, Path: "secret/bob@example.com ", Key: "a#b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, text := range []string{tt.text, "${" + tt.text + "}"} {
				got, err := Parse(text)
				if err != nil {
					t.Fatal(err)
				}
				refs := got.References()
				if len(refs) != 1 || refs[0].Text() != tt.want.Text() || !sameFields(refs[0], tt.want) {
					t.Errorf("%s: got %v, want %v", text, refs, tt.want)
				}
				if got.Text() != text {
					t.Errorf("printed: %s, want %s", got.Text(), text)
				}
				if _, plain := got.Plain(); plain {
					t.Errorf("%s is plain", text)
				}
			}
		})
	}
}

func sameFields(a, b Reference) bool {
	textA, okA := a.Default()
	textB, okB := b.Default()
	a.fallback, b.fallback = nil, nil
	return textA == textB && okA == okB && fmt.Sprintf("%#v", a) == fmt.Sprintf("%#v", b)
}

func TestParseLeavesOtherTextsAlone(t *testing.T) {
	tests := []struct{ name, text, plain string }{
		{"nothing", "", ""},
		{"a text", "hunter2", "hunter2"},
		{"another scheme", "https://vault:8200/#x", "https://vault:8200/#x"},
		{"a variable", "a ${HOME} $HOME $$ ${", "a ${HOME} $HOME $$ ${"},
		{"an escaped variable", "$${HOME}", "$${HOME}"},
		{"a scheme in the middle", "see vault:secret/db#k", "see vault:secret/db#k"},
		{"a scheme in capitals", "VAULT:secret/db#k", "VAULT:secret/db#k"},
		{"a scheme cut short", "coffer:/secret#k", "coffer:/secret#k"},
		{"a ciphertext", "vault:v1:abc#def", "vault:v1:abc#def"},
		{"a ciphertext within", "${vault:v12:abc}", "${vault:v12:abc}"},
		{"an escape", "a $${vault:secret/db#k} b", "a ${vault:secret/db#k} b"},
		{"two escapes", "$${coffer://a#b}$${ref+vault://a#/b}", "${coffer://a#b}${ref+vault://a#/b}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if plain, ok := got.Plain(); !ok || plain != tt.plain {
				t.Errorf("plain: %q %v, want %q", plain, ok, tt.plain)
			}
			if got.Text() != tt.text {
				t.Errorf("printed: %q", got.Text())
			}
		})
	}
}

func TestParseFindsReferencesWithinTexts(t *testing.T) {
	text := "postgres://${vault:secret/db#user}:${coffer://secret/db?default=hunter2#password}@db/$${vault:x}"
	got, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	want := "…${vault:secret/db#user}…${coffer://secret/db?default=…#password}…"
	if got.String() != want || got.Text() != text {
		t.Errorf("got %s and %s", got, got.Text())
	}
	filled := got.expand(func(r Reference) string { return strings.ToUpper(r.Key) })
	if want := "postgres://USER:PASSWORD@db/${vault:x}"; filled != want {
		t.Errorf("got %s, want %s", filled, want)
	}
}

func TestParseTextTakesNoTextForAReference(t *testing.T) {
	got, err := ParseText("vault: ${vault:secret/db#k}")
	if err != nil || got.String() != "…${vault:secret/db#k}" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestParseRefusesWhatIsMalformed(t *testing.T) {
	const canary = "c4n4ry"
	tests := []struct{ name, text, reason string }{
		{"a scheme alone", "vault:", "no #KEY"},
		{"no key", "vault:secret/c4n4ry", "no #KEY"},
		{"an empty key", "vault:secret/c4n4ry#", "key is empty"},
		{"an empty pointer", "ref+vault://c4n4ry#/", "key is empty"},
		{"no path", "vault:#c4n4ry", "path is empty"},
		{"an empty segment", "vault:secret//c4n4ry#k", "empty segment"},
		{"a slash in front", "vault:/c4n4ry#k", "empty segment"},
		{"a way up", "vault:c4n4ry/../b#k", "segment of dots"},
		{"a hidden way up", "coffer://c4n4ry/%2e%2e/b#k", "segment of dots"},
		{"a hidden line end", "coffer://c4n4ry%0a#k", "control character"},
		{"a line end", "vault:c4n4ry#k\n", "control character"},
		{"broken UTF-8", "vault:c4n4ry#\xff", "not UTF-8"},
		{"a sentence", "vault: c4n4ry#1", "has a space"},
		{"an unexpanded variable", "vault:secret/${c4n4ry}#k", "brace"},
		{"a version that is none", "vault:secret/db#k#c4n4ry", "version is no number"},
		{"version zero", "vault:c4n4ry#k#0", "version is no number"},
		{"two versions", "vault:c4n4ry?version=1#k#2", "two versions"},
		{"three keys", "vault:c4n4ry#a#1#2", "version is no number"},
		{"two keys", "coffer://c4n4ry#a#1", "second #"},
		{"no slash before the key", "ref+vault://secret/db#c4n4ry", "does not begin with a slash"},
		{"an unknown parameter", "vault:secret/db?default=a&c4n4ry#k", "parameter other than"},
		{"a parameter twice", "vault:secret/db?default=a&default=c4n4ry#k", "twice"},
		{"a default and optional", "vault:secret/db?default=c4n4ry&optional#k", "exclude each other"},
		{"parameters behind the key", "vault:secret/db#k?default=c4n4ry", "go before the #"},
		{"two namespaces", "coffer://a@c4n4ry?namespace=b#k", "two namespaces"},
		{"an empty namespace", "coffer://@c4n4ry#k", "namespace is empty"},
		{"a bare per cent", "vault:secret/db?default=50%!c4n4ry#k", "hexadecimal"},
		{"an open bracket", "a ${vault:c4n4ry#k", "no }"},
		{"a bad one after a good one", "${vault:a#b} ${vault:c4n4ry}", "no #KEY"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.text)
			var pe *ParseError
			if !errors.As(err, &pe) || !strings.Contains(pe.Reason, tt.reason) {
				t.Fatalf("got %v, want %q", err, tt.reason)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error repeats the text: %v", err)
			}
		})
	}
}

func TestNothingPrintsADefault(t *testing.T) {
	got, err := Parse("${vault:a?default=c4n4ry#k} c4n4ry")
	if err != nil {
		t.Fatal(err)
	}
	type holder struct {
		template Template
		ref      Reference
	}
	h := holder{got, got.References()[0]}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, v := range []any{got, &got, h.ref, h, []Template{got}} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "c4n4ry") || strings.Contains(text, fmt.Sprintf("%x", "c4n4ry")) {
				t.Errorf("%s of %T: %s", verb, v, text)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "vault:secret/db#k#1", "ref+vault://a/b?version=1&default=x%20#/k/0", "coffer://n/s@a?optional#k%23",
		"a${vault:p#k}b$${vault:p#k}$$${coffer://p#k}${X}", "vault:v1:abc", "vault:a?namespace=b/#k", "${", "$",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func(string) (Template, error){Parse, ParseText} {
			got, err := parse(text)
			if err != nil {
				continue
			}
			if got.Text() != text {
				t.Fatalf("printed %q, parsed %q", got.Text(), text)
			}
			for _, ref := range got.References() {
				again, err := Parse(ref.Text())
				if err != nil || len(again.References()) != 1 || !sameFields(again.References()[0], ref) {
					t.Fatalf("%q printed as %q: %v, %v", text, ref.Text(), again, err)
				}
			}
		}
	})
}

func FuzzTextWithoutASchemeIsUnchanged(f *testing.F) {
	for _, text := range []string{"", "${HOME}", "$${HOME}", "vault", "$", "${${"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range schemes {
			if strings.Contains(text, string(s)) {
				t.Skip()
			}
		}
		got, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if plain, ok := got.Plain(); !ok || plain != text {
			t.Errorf("%q became %q", text, plain)
		}
	})
}
