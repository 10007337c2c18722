package secrets

import (
	"strconv"
	"strings"
)

// Scheme is what a reference begins with.
type Scheme string

// The schemes.
const (
	Vault    Scheme = "vault:"
	RefVault Scheme = "ref+vault://"
	Coffer   Scheme = "coffer://"
)

var schemes = []Scheme{Vault, RefVault, Coffer}

// form tells people how to write a reference of the scheme.
func (s Scheme) form() string {
	switch s {
	case RefVault:
		return "ref+vault://PATH#/KEY"
	case Coffer:
		return "coffer://[NAMESPACE@]PATH#KEY"
	}
	return "vault:PATH#KEY[#VERSION]"
}

// decodes says whether %XX stands for a byte in path and key.
func (s Scheme) decodes() bool { return s != Vault }

// Reference names one value in a server.
type Reference struct {
	Scheme    Scheme
	Namespace string // without slashes at its ends; empty: the client's
	Path      string // without slashes at its ends
	Key       string // a field, or a path into nested ones if it begins with a slash
	Version   int    // zero: the newest
	Optional  bool   // absence is no error

	fallback hidden // nil: none
}

// hidden is a text that fmt cannot see.
type hidden func() string

func hide(text string) hidden { return func() string { return text } }

// Default returns what to use if there is no such secret or field.
func (r Reference) Default() (text string, ok bool) {
	if r.fallback == nil {
		return "", false
	}
	return r.fallback(), true
}

// WithDefault returns r with a default.
func (r Reference) WithDefault(text string) Reference {
	r.fallback = hide(text)
	return r
}

// Text returns the reference as [Parse] reads it, with its default, which may be
// a secret.
func (r Reference) Text() string {
	text, ok := r.Default()
	return r.print(escape(text), ok)
}

// String is Text with "…" in place of the default.
func (r Reference) String() string { return r.print("…", r.fallback != nil) }

func (r Reference) print(fallback string, hasFallback bool) string {
	keep := func(s string) string { return s }
	if r.Scheme.decodes() {
		keep = escape
	}
	var b strings.Builder
	b.WriteString(string(r.Scheme))
	if r.Scheme == Coffer && r.Namespace != "" {
		b.WriteString(escape(r.Namespace) + "@")
	}
	b.WriteString(keep(r.Path))
	var query []string
	if r.Scheme != Coffer && r.Namespace != "" {
		query = append(query, "namespace="+escape(r.Namespace))
	}
	if r.Scheme != Vault && r.Version != 0 {
		query = append(query, "version="+strconv.Itoa(r.Version))
	}
	if hasFallback {
		query = append(query, "default="+fallback)
	}
	if r.Optional {
		query = append(query, "optional")
	}
	if len(query) > 0 {
		b.WriteString("?" + strings.Join(query, "&"))
	}
	b.WriteString("#" + keep(r.Key))
	if r.Scheme == Vault && r.Version != 0 {
		b.WriteString("#" + strconv.Itoa(r.Version))
	}
	return b.String()
}

// escape writes as %XX every byte that could mean something in a reference, or
// around one.
func escape(text string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.~/:,+=", c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}
