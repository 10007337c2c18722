package dotenv

import (
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/cofferhq/coffer/scan"
	"github.com/cofferhq/coffer/secrets"
)

// loginSuffixes are, without COFFER_ and VAULT_, the variables that one logs in
// with: the one secret that cannot be in the store. A token among them is
// suspicious all the same, as it lives long and is worth everything that it may.
var loginSuffixes = []string{"ROLE_ID", "SECRET_ID", "WRAPPED_TOKEN", "WRAPPED_SECRET_ID", "SECRET_ID_WRAPPED", "TOKEN"}

// IsLogin says whether a variable is what one logs in with.
func IsLogin(name string) bool {
	for _, prefix := range []string{"COFFER_", "VAULT_"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return slices.Contains(loginSuffixes, strings.TrimSuffix(rest, "_FILE"))
		}
	}
	return false
}

// Suspicion says why the value looks like a secret that stands there in plain
// text; empty: it does not.
func (s *Statement) Suspicion() string {
	value, ok := s.Value()
	if !ok {
		return ""
	}
	text := value.RevealText()
	if IsLogin(s.Name) {
		if strings.HasSuffix(s.Name, "_TOKEN") && !strings.Contains(s.Name, "WRAPPED") && text != "" {
			return "a token lives longer and is worth more than an AppRole's secret id: log in with one"
		}
		return ""
	}
	return Suspicion(s.Name, text)
}

// Suspicion says why a value looks like a secret, by its name or itself; empty: it
// does not. It repeats nothing of the value. It is a guess.
func Suspicion(name, value string) string {
	if isHarmless(value) || IsReference(value) {
		return ""
	}
	if hasPassword(value) {
		return "the value is an address with a password"
	}
	if kind := shapeOf(value); kind != "" {
		return "the value has the shape of: " + kind
	}
	if namesSecret(name) {
		return "its name says so"
	}
	if isRandom(value) {
		return "the value looks random"
	}
	return ""
}

// scanner knows the tokens of issuers. It is made when it is first needed.
var scanner = sync.OnceValue(func() *scan.Scanner {
	s, err := scan.New(scan.Options{Decode: -1, IgnoreAllow: true})
	if err != nil {
		panic("dotenv: internal error: the scanner's own rules are wrong") // its tests make one, too
	}
	return s
})

// shapeOf says what kind of secret a value is, whatever its name; empty: none that
// is known.
func shapeOf(value string) string {
	for _, f := range scanner().Bytes("", []byte(value)) {
		return f.Description
	}
	return ""
}

// IsReference says whether the value is, or holds, a reference. What only begins
// like one is none of a secret's shape either.
func IsReference(value string) bool {
	t, err := secrets.Parse(value)
	return err != nil || len(t.References()) > 0
}

// lazily compiles an expression when it is first needed: most runs of the program
// need none of these.
func lazily(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// placeholder is a value that stands for one.
var placeholder = lazily(`(?i)^(<.*>|\{\{.*\}\}|x{3,}|\*{3,}|\.{3}|change[-_ ]?me.*|your[-_ ].*|todo|example|none|null|true|false|yes|no|on|off|\d{1,5}|\$\{?[A-Za-z_][A-Za-z0-9_]*\}?)$`)

func isHarmless(value string) bool {
	return strings.TrimSpace(value) == "" || placeholder().MatchString(value)
}

// hasPassword finds postgres://user:password@host.
func hasPassword(value string) bool {
	u, err := url.Parse(value)
	if err != nil || u.User == nil || u.Host == "" {
		return false
	}
	password, ok := u.User.Password()
	return ok && !isHarmless(password)
}

// secretWords are the words of a name that say what the value is, or what it is
// not if one of aboutWords comes last.
var (
	secretWords = []string{
		"PASSWORD", "PASSWD", "PASSPHRASE", "PASS", "PWD", "SECRET", "SECRETS", "TOKEN", "APIKEY", "KEY", "CREDENTIAL", "CREDENTIALS", "SALT",
		"PEPPER", "SIGNATURE",
	}
	aboutWords = []string{
		"FILE", "PATH", "DIR", "URL", "URI", "HOST", "NAME", "ID", "TTL", "TIMEOUT", "LENGTH", "SIZE", "HEADER", "TYPE", "ALGORITHM", "ALG",
		"MOUNT", "ENABLED", "EXPIRY", "EXPIRES", "PREFIX", "POLICY", "VERSION", "COUNT", "LIMIT", "ROTATION", "INTERVAL",
	}
)

var wordEnd = lazily(`[^A-Za-z0-9]+`)

func namesSecret(name string) bool {
	words := wordEnd().Split(strings.ToUpper(name), -1)
	if len(words) == 0 || slices.Contains(words, "PUBLIC") || slices.Contains(aboutWords, words[len(words)-1]) {
		return false
	}
	return slices.ContainsFunc(words, func(w string) bool {
		return slices.Contains(secretWords, w) || strings.HasSuffix(w, "PASSWORD") || strings.HasSuffix(w, "SECRET")
	})
}

// Of text that a machine has chosen.
const (
	randomLength = 24  // characters
	randomBits   = 3.6 // of entropy a character
)

// isRandom finds long values of letters and digits mixed without words.
func isRandom(value string) bool {
	if len(value) < randomLength || strings.ContainsAny(value, " /:.@,\n\\") || uuidForm().MatchString(value) {
		return false
	}
	digits := strings.IndexFunc(value, func(r rune) bool { return r >= '0' && r <= '9' }) >= 0
	letters := strings.IndexFunc(value, func(r rune) bool { return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' }) >= 0
	return digits && letters && entropy(value) >= randomBits
}

// uuidForm is of names of things more often than of secrets.
var uuidForm = lazily(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// entropy is Shannon's, in bits a byte.
func entropy(s string) (bits float64) {
	var count [256]int
	for i := range len(s) {
		count[s[i]]++
	}
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(s))
			bits -= p * math.Log2(p)
		}
	}
	return bits
}
