package database

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/cofferhq/coffer/internal/logical"
)

// Decode returns statements in the form in which a client of Vault may give
// them: each as text, as a JSON array of texts, or as either in base64.
func Decode(texts []string) []string {
	var all []string
	for _, text := range texts {
		all = append(all, decode(text)...)
	}
	return all
}

func decode(text string) []string {
	text = strings.TrimSpace(text)
	if raw, err := base64.StdEncoding.DecodeString(text); err == nil && text != "" && utf8.Valid(raw) {
		text = strings.TrimSpace(string(raw))
	}
	if strings.HasPrefix(text, "[") {
		var list []string
		if json.Unmarshal([]byte(text), &list) == nil {
			return list
		}
	}
	return []string{text}
}

// Split returns the single statements of texts, decoded, without the semicolons
// between them. Semicolons that are quoted or in a comment do not separate.
func (d Dialect) Split(texts []string) []string {
	var all []string
	for _, text := range Decode(texts) {
		all = append(all, d.split(text)...)
	}
	return all
}

func (d Dialect) split(text string) []string {
	var all []string
	var one strings.Builder
	empty := true // there is nothing but space and comments
	end := func() {
		if !empty {
			all = append(all, strings.TrimSpace(one.String()))
		}
		one.Reset()
		empty = true
	}
	for _, p := range d.pieces(text) {
		if p.place != code {
			one.WriteString(p.text)
			empty = empty && p.place == comment
			continue
		}
		for i, part := range strings.Split(p.text, ";") {
			if i > 0 {
				end()
			}
			one.WriteString(part)
			empty = empty && strings.TrimSpace(part) == ""
		}
	}
	end()
	return all
}

// Values are what placeholders stand for: {"name": …} is what {{name}} becomes.
type Values map[string]string

// UserValues returns the values that every statement about a user may name.
func UserValues(user string) Values { return Values{"name": user, "username": user} }

// Expand puts the values into a statement, quoted as the place of each asks for,
// so that no value can be more than a value there. It returns an error of kind
// [logical.ErrInvalid] if a value cannot be written in its place. Placeholders in
// comments stay.
func (d Dialect) Expand(statement string, values Values) (string, error) {
	for name, v := range values {
		if err := Sound(name, v); err != nil {
			return "", err
		}
	}
	return d.expand(statement, values)
}

// Sound returns an error of kind [logical.ErrInvalid] if the value named what is
// no text that systems take.
func Sound(what, value string) error {
	if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
		return logical.Invalid("the %s has characters that are no text", what)
	}
	return nil
}

func (d Dialect) expand(statement string, values Values) (string, error) {
	var out strings.Builder
	pieces := d.pieces(statement)
	for i, p := range pieces {
		text, err := d.expandPiece(p, values)
		if err != nil {
			return "", err
		}
		if p.place == code && touches(p.text, values, i > 0, i < len(pieces)-1) {
			return "", logical.Invalid("a placeholder stands beside a quotation: put it into quotes")
		}
		out.WriteString(text)
	}
	return out.String(), nil
}

func (d Dialect) expandPiece(p piece, values Values) (string, error) {
	switch p.place {
	case comment:
		return p.text, nil
	case dollared:
		body, end := p.inner()
		text, err := d.expand(body, values)
		if err != nil {
			return "", err
		}
		if strings.Index(text+p.quote, p.quote) != len(text) {
			return "", logical.Invalid("a value would end the quotation %s in a statement", p.quote)
		}
		return p.quote + text + end, nil
	}
	return replace(p.text, values, func(name, v, before, after string) (string, error) {
		if p.place == code {
			return bare(name, v, before, after)
		}
		return quote(p, name, v, before)
	})
}

// touches says whether a placeholder that is not quoted begins or ends the text.
func touches(text string, values Values, begins, ends bool) bool {
	for name := range values {
		if begins && strings.HasPrefix(text, "{{"+name+"}}") || ends && strings.HasSuffix(text, "{{"+name+"}}") {
			return true
		}
	}
	return false
}

// quote writes a value into a quotation, of which before has been written.
func quote(p piece, name, v, before string) (string, error) {
	backslashes := len(before) - len(strings.TrimRight(before, `\`))
	if p.place != literal && p.place != label && backslashes%2 == 1 {
		return "", logical.Invalid("{{%s}} follows a backslash", name)
	}
	switch p.place {
	case escaped:
		v = strings.ReplaceAll(v, `\`, `\\`)
	case guarded:
		if strings.Contains(v, `\`) {
			return "", logical.Invalid("{{%s}} must stand in single quotes, as the value has a backslash", name)
		}
	}
	return strings.ReplaceAll(v, p.quote, p.quote+p.quote), nil
}

// bare writes a value that stands in no quotes: only a word of its own can.
func bare(name, v, before, after string) (string, error) {
	const limits = " \t\r\n(),;=.@"
	free := v != "" && (before == "" || strings.ContainsRune(limits, rune(before[len(before)-1]))) &&
		(after == "" || strings.ContainsRune(limits, rune(after[0])))
	for i := range len(v) {
		free = free && isWord(v[i]) && v[i] < utf8.RuneSelf
	}
	if !free {
		return "", logical.Invalid("{{%s}} must stand in quotes", name)
	}
	return v, nil
}

// replace replaces the placeholders of text in one pass: what a value brings is
// not looked at again. The function gets the text around the placeholder too.
func replace(text string, values Values, with func(name, value, before, after string) (string, error)) (string, error) {
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "{{")
		out.WriteString(before)
		if !ok {
			return out.String(), nil
		}
		name, after, closed := strings.Cut(rest, "}}")
		v, isValue := values[name]
		if !closed || !isValue {
			out.WriteString("{{")
			text = rest
			continue
		}
		quoted, err := with(name, v, out.String(), after)
		if err != nil {
			return "", err
		}
		out.WriteString(quoted)
		text = after
	}
}

// MissingPlaceholders reports the statements of a field that name no user or, if
// they set one, no password. No statements are in order.
func MissingPlaceholders(field string, statements []string, password bool) (problems []Problem) {
	if len(statements) == 0 {
		return nil
	}
	all := strings.Join(Decode(statements), "\n")
	if !strings.Contains(all, "{{name}}") && !strings.Contains(all, "{{username}}") {
		problems = append(problems, Problem{field, "the placeholder {{name}} or {{username}} is missing"})
	}
	if password && !strings.Contains(all, "{{password}}") {
		problems = append(problems, Problem{field, "the placeholder {{password}} is missing"})
	}
	return problems
}

// CheckSQL reports what is wrong with the statements of a role of an SQL system.
func CheckSQL(s Statements) (problems []Problem) {
	problems = append(problems, MissingPlaceholders("creation_statements", s.Create, true)...)
	problems = append(problems, MissingPlaceholders("renew_statements", s.Renew, false)...)
	problems = append(problems, MissingPlaceholders("revocation_statements", s.Revoke, false)...)
	problems = append(problems, MissingPlaceholders("rollback_statements", s.Rollback, false)...)
	return append(problems, MissingPlaceholders("rotation_statements", s.Rotate, true)...)
}

// NoStatements is the refusal to create a user where no statements say how.
func NoStatements() error { return logical.Invalid("empty creation statements") }

// ExpandAll is Split and Expand, by field for its errors.
func (d Dialect) ExpandAll(field string, texts []string, values Values) ([]string, error) {
	all := d.Split(texts)
	for i, one := range all {
		text, err := d.Expand(one, values)
		if err != nil {
			return nil, fmt.Errorf("%s, statement %d: %w", field, i+1, err)
		}
		all[i] = text
	}
	return all, nil
}
