package template

import (
	"errors"
	"strings"
	"testing"
)

func TestRender(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"a text stays", "a {b} $c $${d}\n", "a {b} $c $${d}\n"},
		{"consul-template's idiom", `{{ with secret "secret/data/app" }}{{ .Data.data.x }}{{ end }}`, canary},
		{"data/ may be left out", `{{ with secret "secret/app" }}{{ .Data.data.x }}{{ end }}`, canary},
		{"without with", `{{ (secret "secret/app").Data.data.user }}`, "u"},
		{"a mount of version 1", `{{ with secret "kv1/app" }}{{ .Data.x }} {{ .LeaseDuration }} {{ .Renewable }}{{ end }}`, "one 2764800 false"},
		{"a big number", `{{ with secret "secret/app" }}{{ .Data.data.n }}{{ end }}`, "12345678901234567890"},
		{"a write", `{{ with secret "pki/issue/web" "common_name=a" }}{{ .Data.certificate }}{{ end }}`, "CERT"},
		{"a list", `{{ range secrets "secret/" }}{{ . }} {{ end }}`, "app team/ "},
		{"a list of nothing", `{{ range secrets "secret/x" }}{{ . }}{{ else }}none{{ end }}`, "none"},
		{"what one secret names is another", `{{ range secrets "secret" }}{{ if eq . "app" }}{{ with secret (printf "secret/%s" .) }}{{ .Data.data.user }}{{ end }}{{ end }}{{ end }}`, "u"},
		{"a reference in the text", "pw=${vault:secret/app#x}!", "pw=" + canary + "!"},
		{"several, with an escape", "$${vault:a#b} ${vault:secret/app#user}:${coffer://secret/app#x} ${HOME}", "${vault:a#b} u:" + canary + " ${HOME}"},
		{"a reference in a branch", `{{ if true }}${vault:secret/app#user}{{ end }}`, "u"},
		{"the function", `{{ ref "vault:secret/app#user" }} {{ ref "vault:secret/no?default=d#x" }} [{{ ref "vault:secret/no?optional#x" }}]`, "u d []"},
		{"the environment", `{{ env "HOME" }} {{ envOrDefault "NO" "d" }}`, "/home/x d"},
		{"texts", `{{ "a,b" | split "," | join "-" }} {{ " x " | trimSpace | toUpper }} {{ "a" | indent 2 }} {{ "aXb" | replaceAll "X" "-" }} {{ "a1" | regexReplaceAll "[0-9]" "n" }}`, "a-b X   a a-b an"},
		{"encodings", `{{ "hi" | base64Encode }} {{ "aGk=" | base64Decode }} {{ (parseJSON "{\"a\":[1]}").a | toJSON }}`, "aGk= hi [1]"},
		{"YAML and TOML of a secret", `{{ with secret "secret/app" }}{{ .Data.data.user | toYAML }} {{ dict "n" .Data.data.user | toTOML }}{{ end }}`, `u n = "u"`},
		{"numbers", `{{ 5 | subtract 2 }} {{ add 1 2.5 }} {{ 7 | modulo 4 }}`, "3 3.5 3"},
		{"sprig's functions", `{{ "" | default "d" }} {{ "x" | sprig_quote }} {{ coalesce "" "c" }}`, `d "x" c`},
		{"templates within", `{{ define "t" }}<{{ . }}>{{ end }}{{ executeTemplate "t" "x" }}`, "<x>"},
		{"explode", `{{ (explode (dict "a/b" "c")).a.b }}`, "c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, s := newFake(t)
			if got, err := render(t, s, tt.text, Options{}); err != nil || got != tt.want {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func render(t *testing.T, s *Store, text string, o Options) (string, error) {
	t.Helper()
	o.Name = "app.tmpl"
	o.Getenv = func(name string) string { return map[string]string{"HOME": "/home/x"}[name] }
	parsed, err := Parse(text, o)
	if err != nil {
		return "", err
	}
	r, err := s.Render(t.Context(), parsed)
	if err != nil {
		return "", err
	}
	return r.Content.RevealText(), nil
}

// Errors say where and which secret, and no value.
func TestErrors(t *testing.T) {
	strict := Options{ErrorOnMissingKey: true}
	for _, tt := range []struct {
		name, text string
		o          Options
		want       string
	}{
		{"no such function", "\n{{ nope }}", Options{}, `app.tmpl:2: there is no function "nope"`},
		{"a function of Consul", `{{ key "a" }}`, Options{}, `there is no function "key": it asks Consul`},
		{"malformed", "\n\n{{ if }}", Options{}, "app.tmpl:3: missing value for if"},
		{"a malformed reference", "a\n${vault:x}", Options{}, "app.tmpl:2: malformed reference vault:…"},
		{"refused", "\n{{ with secret \"secret/none\" }}{{ end }}", Options{}, "app.tmpl:2: secret: secret/data/none: GET secret/data/none: 403: permission denied"},
		{"absent", `{{ with secret "secret/absent" }}{{ end }}`, Options{}, "app.tmpl:1: secret: secret/absent: no such secret"},
		{"a reference to nothing", "\n\nx ${vault:secret/app#nope}", Options{}, "app.tmpl:3: ref: vault:secret/app#nope: the secret has no such field"},
		{"a missing key", `{{ with secret "secret/app" }}{{ .Data.data.nope }}{{ end }}`, strict, `app.tmpl:1: it cannot be executed here: map has no entry for key "nope"`},
		{"a value that is no JSON", `{{ with secret "secret/app" }}{{ parseJSON .Data.data.x }}{{ end }}`, Options{}, "app.tmpl:1: parseJSON: the value is not JSON"},
		{"a value that is no number", `{{ with secret "secret/app" }}{{ parseInt .Data.data.x }}{{ end }}`, Options{}, "parseInt: the value is not a whole number"},
		{"a range over a value", `{{ with secret "secret/app" }}{{ range .Data.data.n }}{{ end }}{{ end }}`, Options{}, "app.tmpl:1: it cannot be executed here"},
		{"an expression of a value", `{{ with secret "secret/app" }}{{ regexMatch (print "(" .Data.data.x) "a" }}{{ end }}`, Options{}, "regexMatch: malformed regular expression"},
		{"a value as a function's name", `{{ with secret "secret/app" }}{{ executeTemplate .Data.data.user }}{{ end }}`, Options{}, `executeTemplate: there is no template "u"`},
		{"a file", `{{ file "/etc/passwd" }}`, Options{}, "file: files may not be read"},
		{"writing a file", `{{ "x" | writeToFile "/a" "b" "c" "0600" }}`, Options{}, "a template cannot write files"},
		{"questions without end", `{{ define "t" }}{{ with secret (printf "kv1/%d" .) "a=b" }}{{ end }}{{ end }}{{ $n := timestamp "15:04:05.000000000" }}{{ with secret (printf "pki/issue/%s" $n) "a=b" }}{{ end }}`, Options{}, "its questions do not end"},
		{"a template without end", `{{ define "t" }}{{ executeTemplate "t" }}{{ end }}{{ executeTemplate "t" }}`, Options{}, "more than 100 deep"},
		{"a result without end", `{{ repeat 70000000 "x" }}`, Options{}, "exceeds 67108864 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, s := newFake(t)
			_, err := render(t, s, tt.text, tt.o)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), canary) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestDelimitersAreTheTemplates(t *testing.T) {
	_, s := newFake(t)
	got, err := render(t, s, `{{ x }} [[ with secret "secret/app" ]][[ .Data.data.user ]][[ end ]] ${vault:secret/app#user}`, Options{Left: "[[", Right: "]]"})
	if want := "{{ x }} u u"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestAFileIsReadIfThatIsAllowed(t *testing.T) {
	_, s := newFake(t)
	got, err := render(t, s, `{{ file "a" }}`, Options{ReadFile: func(path string) ([]byte, error) { return []byte("of " + path), nil }})
	if err != nil || got != "of a" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestASecretIsReadOnceForAllTemplates(t *testing.T) {
	f, s := newFake(t)
	for range 3 {
		if _, err := render(t, s, `{{ with secret "secret/app" }}{{ .Data.data.x }}{{ end }}{{ with secret "secret/data/app" }}{{ end }}${vault:secret/app#user}`, Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.count("GET secret/data/app"); n != 1 {
		t.Errorf("%d reads", n)
	}
}

func TestAFailureIsAskedAgain(t *testing.T) {
	f, s := newFake(t)
	parsed, err := Parse(`{{ with secret "secret/new" }}{{ .Data.data.x }}{{ end }}`, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Render(t.Context(), parsed); !errors.Is(err, ErrAbsent) {
		t.Fatal(err)
	}
	f.put("new", 1, `{"x":"y"}`)
	r, err := s.RenderFresh(t.Context(), parsed)
	if err != nil || r.Content.RevealText() != "y" {
		t.Errorf("%v, %v", r, err)
	}
}

// Whatever the text, there is a template or a reason, and what the store knows
// does not leak into an error.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "{{", "{{ with secret \"a\" }}{{ .Data.data.x }}{{ end }}", "${vault:a#b}", "$${vault:a#b}${vault:a#b}", "${", "$$$${coffer://a#b}",
		"{{ range secrets \"a\" }}${ref+vault://a#/b}{{ else }}x{{ end }}", "{{ define \"a\" }}${vault:a#b}{{ end }}{{ template \"a\" }}",
		"{{ parseInt (secret \"a\").Data.data.x }}", "a\r\n{{- ref \"vault:a#b\" -}}\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := Parse(text, Options{Name: "f"})
		if err != nil {
			if se := new(SyntaxError); !errors.As(err, &se) || se.Text == "" || se.Line > strings.Count(text, "\n")+1 {
				t.Errorf("%#v", err)
			}
			return
		}
		if strings.Contains(text, "range") || strings.Contains(text, "template") || strings.Contains(text, "exec") || strings.Contains(text, "fail") || strings.Contains(text, "required") {
			return // it may not end, or says what it likes
		}
		answer := &Answer{secret: secretOf(canary)}
		p := &pass{lookup: func(Query) (*Answer, bool) { return answer, true }}
		if _, err := parsed.execute(p); err != nil && strings.Contains(err.Error(), canary) && !strings.Contains(text, canary) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
