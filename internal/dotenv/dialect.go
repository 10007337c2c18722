package dotenv

import (
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/hashicorp/go-envparse"
	"github.com/joho/godotenv"
	"github.com/subosito/gotenv"
)

// Dialect is a library that reads .env files.
type Dialect struct {
	Name  string
	parse func(text string) (map[string]string, error)
}

// Dialects are the libraries that are compared. The first is what coffer itself
// reads with.
var Dialects = []Dialect{
	{"godotenv", func(text string) (map[string]string, error) { return godotenv.Unmarshal(text) }},
	{"compose-go", func(text string) (map[string]string, error) {
		return dotenv.ParseWithLookup(strings.NewReader(text), nothing)
	}},
	{"go-envparse", func(text string) (map[string]string, error) { return envparse.Parse(strings.NewReader(text)) }},
	{"gotenv", func(text string) (map[string]string, error) {
		env, err := gotenv.StrictParse(strings.NewReader(text))
		return env, err
	}},
}

// nothing is an environment in which every variable is empty. If they were not set
// at all, the library would say so on the standard error, with the name: in a
// password with a $ that is a part of it.
func nothing(string) (string, bool) { return "", true }

// reading is what one dialect makes of a text. Why it fails is not kept: libraries
// quote what they could not read.
type reading struct {
	values map[string]string
	failed bool
}

// read never panics: what a library falls over is not read.
func (d Dialect) read(text string) (r reading) {
	defer func() {
		if recover() != nil {
			r = reading{failed: true}
		}
	}()
	values, err := d.parse(text)
	return reading{values: values, failed: err != nil}
}

// value returns the value if the text says this and nothing else.
func (r reading) value(name string) (string, bool) {
	v, ok := r.values[name]
	return v, ok && !r.failed && len(r.values) == 1
}

// agreeOn says whether all dialects read the value, and nothing else.
func agreeOn(text, name, value string) bool {
	for _, d := range Dialects {
		if got, ok := d.read(text).value(name); !ok || got != value {
			return false
		}
	}
	return true
}

// agree says whether all dialects read a statement alike, whatever it is.
func (s *Statement) agree() bool {
	want, ok := Dialects[0].read(s.text()).value(s.Name)
	return ok && agreeOn(s.text(), s.Name, want)
}

// spelling is a way to write a value.
type spelling struct {
	how  string // for people: "in single quotes"
	text string
}

// escapes are what all dialects can read in double quotes, if any do.
var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`)

// Spell returns how to write a value so that all dialects read it alike, the
// plainest way first. There may be none.
func Spell(value string) (spelling, bool) {
	candidates := []spelling{
		{"in single quotes", "'" + value + "'"},
		{"in double quotes", `"` + value + `"`},
		{`in double quotes, with \n for line ends and a backslash before quotes`, `"` + escapes.Replace(value) + `"`},
		{"without quotes", value},
	}
	if isPlain(value) {
		candidates = append([]spelling{{"without quotes", value}}, candidates...)
	}
	for _, c := range candidates {
		// Alone, and with what may follow.
		if agreeOn("N="+c.text+"\n", "N", value) && agreeOn("N="+c.text, "N", value) {
			return c, true
		}
	}
	return spelling{}, false
}

// isPlain says whether a value needs no quotes in any dialect, shells included.
func isPlain(value string) bool {
	for _, r := range value {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-./:,@%+=", r) {
			return false
		}
	}
	return true
}
