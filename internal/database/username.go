package database

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/uuid"
)

// Usernames makes the names of dynamic users from a template in the language of
// Go's text/template, with the functions that Vault documents.
type Usernames struct {
	tmpl *template.Template
	max  int
}

// NameData is what a template can use.
type NameData struct {
	DisplayName string // of the token that asks
	RoleName    string
}

// NewUsernames returns the maker of names of a connection. Its errors hold what
// text/template says of the template.
func NewUsernames(cfg Config) (*Usernames, error) {
	text := cfg.UsernameTemplate
	if text == "" {
		text = cfg.Plugin.Username
	}
	tmpl, err := template.New("username_template").Funcs(funcs(time.Time{})).Parse(text)
	if err != nil {
		return nil, err
	}
	u := &Usernames{tmpl: tmpl, max: cfg.Plugin.MaxName}
	if _, err := u.Make(NameData{DisplayName: "token", RoleName: "role"}, time.Unix(0, 0)); err != nil {
		return nil, err
	}
	return u, nil
}

// Make returns a name, which is new as far as the template is random. It returns
// an error of kind [logical.ErrInvalid] if the template fails, or what it makes
// is empty or longer than the system takes.
func (u *Usernames) Make(data NameData, now time.Time) (string, error) {
	tmpl, err := u.tmpl.Clone()
	if err != nil {
		return "", err
	}
	var out limited
	if err := tmpl.Funcs(funcs(now)).Execute(&out, data); err != nil {
		return "", logical.Invalid("username_template: %v", err)
	}
	name := string(out.text)
	if name == "" || u.max > 0 && len(name) > u.max {
		return "", logical.Invalid("username_template makes a name of %d bytes; from 1 to %d are possible", len(name), u.max)
	}
	return name, nil
}

// limited is a text of no more than some length: a template can loop.
type limited struct{ text []byte }

const maxTemplateOutput = 4096

func (l *limited) Write(b []byte) (int, error) {
	if len(l.text)+len(b) > maxTemplateOutput {
		return 0, errors.New("the name is too long")
	}
	l.text = append(l.text, b...)
	return len(b), nil
}

// funcs are the functions of a template. Values that are piped come last.
func funcs(now time.Time) template.FuncMap {
	return template.FuncMap{
		"random":           random,
		"truncate":         truncate,
		"truncate_sha256":  truncateSHA256,
		"lowercase":        strings.ToLower,
		"uppercase":        strings.ToUpper,
		"replace":          func(old, with, s string) string { return strings.ReplaceAll(s, old, with) },
		"sha256":           func(s string) string { return hexSHA256(s) },
		"base64":           func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"unix_time":        func() string { return strconv.FormatInt(now.Unix(), 10) },
		"unix_time_millis": func() string { return strconv.FormatInt(now.UnixMilli(), 10) },
		"timestamp":        func(layout string) string { return now.UTC().Format(layout) },
		"uuid":             uuid.New,
	}
}

// maxRandom is the most characters that one call of random gives.
const maxRandom = 256

// random returns n random letters and digits.
func random(n int) (string, error) {
	if n < 1 || n > maxRandom {
		return "", fmt.Errorf("random takes a length from 1 to %d", maxRandom)
	}
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	out := make([]byte, 0, n)
	buf := make([]byte, 2*n)
	for len(out) < n {
		rand.Read(buf) // never fails
		for _, b := range buf {
			if b &= 63; int(b) < len(alphabet) && len(out) < n { // others would make some likelier
				out = append(out, alphabet[b])
			}
		}
	}
	return string(out), nil
}

// truncate returns the first n bytes of s, or a few less where that would cut a
// character.
func truncate(n int, s string) (string, error) {
	if n < 1 {
		return "", errors.New("truncate takes a length above zero")
	}
	if len(s) <= n {
		return s, nil
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n], nil
}

// sumChars is how many characters of its hash stand for what was cut off.
const sumChars = 8

// truncateSHA256 is truncate, where the last characters are of the hash of what
// was cut off.
func truncateSHA256(n int, s string) (string, error) {
	if n <= sumChars {
		return "", fmt.Errorf("truncate_sha256 takes a length above %d", sumChars)
	}
	if len(s) <= n {
		return s, nil
	}
	head, err := truncate(n-sumChars, s)
	return head + hexSHA256(s[len(head):])[:sumChars], err
}

func hexSHA256(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
