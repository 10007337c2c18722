package secrets

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ParseError says why a text that begins with a scheme is no reference. It holds
// none of the text but the scheme: what is malformed may be a secret.
type ParseError struct {
	Offset int // of the reference in the text, in bytes
	Scheme Scheme
	Reason string
}

var _ error = (*ParseError)(nil)

func (e *ParseError) Error() string {
	return fmt.Sprintf("malformed reference %s…: %s; want %s", e.Scheme, e.Reason, e.Scheme.form())
}

// schemeOf returns the scheme that text begins with.
func schemeOf(text string) (Scheme, bool) {
	for _, s := range schemes {
		if rest, ok := strings.CutPrefix(text, string(s)); ok {
			return s, s != Vault || !isCiphertext(rest)
		}
	}
	return "", false
}

// isCiphertext says whether vault: begins what the transit engine made:
// vault:v1:….
func isCiphertext(rest string) bool {
	number, isVersion := strings.CutPrefix(rest, "v")
	number, _, hasColon := strings.Cut(number, ":")
	return isVersion && hasColon && isDigits(number)
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// parseReference parses what follows the scheme.
func parseReference(s Scheme, body string) (Reference, error) {
	if !isPrintable(body) {
		return Reference{}, errors.New("it holds a control character, or is not UTF-8")
	}
	head, fragment, hasKey := strings.Cut(body, "#")
	if !hasKey {
		return Reference{}, errors.New("it has no #KEY")
	}
	path, query, hasQuery := strings.Cut(head, "?")
	r := Reference{Scheme: s}
	if err := r.setPath(path); err != nil {
		return Reference{}, err
	}
	if hasQuery {
		if err := r.setParameters(query); err != nil {
			return Reference{}, err
		}
	}
	return r, r.setKey(fragment)
}

func isPrintable(text string) bool {
	return utf8.ValidString(text) && strings.IndexFunc(text, unicode.IsControl) < 0
}

func (r *Reference) setPath(text string) error {
	if strings.ContainsAny(text, "{}") {
		return errors.New("its path has a brace: a variable that was not expanded?")
	}
	if strings.IndexFunc(text, unicode.IsSpace) >= 0 {
		return errors.New("its path has a space")
	}
	if namespace, path, ok := strings.Cut(text, "@"); ok && r.Scheme == Coffer {
		if err := r.setNamespace(namespace); err != nil {
			return err
		}
		text = path
	}
	var err error
	if r.Path, err = r.decode(text); err != nil {
		return err
	}
	return checkPath("path", r.Path)
}

func (r *Reference) setNamespace(text string) error {
	if r.Namespace != "" {
		return errors.New("it has two namespaces")
	}
	namespace, err := unescape(text)
	if err != nil {
		return err
	}
	r.Namespace = strings.Trim(namespace, "/")
	return checkPath("namespace", r.Namespace)
}

// checkPath refuses what servers and proxies between would take for another path.
func checkPath(what, path string) error {
	if !isPrintable(path) {
		return fmt.Errorf("its %s holds a control character, or is not UTF-8", what)
	}
	for segment := range strings.SplitSeq(path, "/") {
		switch segment {
		case "":
			return fmt.Errorf("its %s is empty, or has an empty segment", what)
		case ".", "..":
			return fmt.Errorf("its %s has a segment of dots", what)
		}
	}
	return nil
}

// setParameters never names what it does not know: it may be the end of a
// default that has a bare &.
func (r *Reference) setParameters(query string) error {
	seen := map[string]bool{}
	for parameter := range strings.SplitSeq(query, "&") {
		name, text, hasValue := strings.Cut(parameter, "=")
		if seen[name] {
			return errors.New("it has a parameter twice")
		}
		seen[name] = true
		value, err := unescape(text)
		if err != nil {
			return err
		}
		switch {
		case name == "version" && hasValue:
			err = r.setVersion(value)
		case name == "namespace" && hasValue:
			err = r.setNamespace(text)
		case name == "default" && hasValue:
			*r = r.WithDefault(value)
		case name == "optional" && (!hasValue || value == "true"):
			r.Optional = true
		default:
			err = errors.New("it has a parameter other than version=N, namespace=NS, default=TEXT and optional (& in a text is %26)")
		}
		if err != nil {
			return err
		}
	}
	if r.Optional && r.fallback != nil {
		return errors.New("default and optional exclude each other")
	}
	return nil
}

func (r *Reference) setVersion(text string) error {
	if r.Version != 0 {
		return errors.New("it has two versions")
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return errors.New("its version is no number from 1")
	}
	r.Version = int(n)
	return nil
}

// setKey takes what follows the first #.
func (r *Reference) setKey(fragment string) error {
	for _, parameter := range []string{"?default=", "?optional", "?version=", "?namespace="} {
		if strings.Contains(fragment, parameter) {
			return errors.New("its parameters follow the key: they go before the #")
		}
	}
	key, version, hasVersion := strings.Cut(fragment, "#")
	if hasVersion && r.Scheme != Vault {
		return errors.New("it has a second # (in a key it is %23)")
	}
	if hasVersion {
		if err := r.setVersion(version); err != nil {
			return err
		}
	}
	var err error
	if r.Key, err = r.decode(key); err != nil {
		return err
	}
	switch {
	case r.Key == "" || r.Key == "/":
		return errors.New("its key is empty")
	case r.Scheme == RefVault && r.Key[0] != '/':
		return errors.New("its key does not begin with a slash")
	case !isPrintable(r.Key):
		return errors.New("its key holds a control character, or is not UTF-8")
	}
	return nil
}

func (r *Reference) decode(text string) (string, error) {
	if !r.Scheme.decodes() {
		return text, nil
	}
	return unescape(text)
}

func unescape(text string) (string, error) {
	decoded, err := url.PathUnescape(text)
	if err != nil {
		return "", errors.New("it has a % that is not followed by two hexadecimal digits (% itself is %25)")
	}
	return decoded, nil
}
