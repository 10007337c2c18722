package secrets

import "strings"

// Template is a text with references in it, or one reference. The zero value is
// the empty text. It is immutable.
type Template struct{ parts []part }

// part is a reference or what stands between two.
type part struct {
	source  hidden // as it was written
	literal hidden // what it stands for; nil: ref does
	ref     Reference
}

// Parse reads the text of one setting, which is a reference, has references
// within ${…}, or neither. The error is a [*ParseError].
func Parse(text string) (Template, error) {
	s, ok := schemeOf(text)
	if !ok {
		return ParseText(text)
	}
	ref, err := parseReference(s, text[len(s):])
	if err != nil {
		return Template{}, &ParseError{Scheme: s, Reason: err.Error()}
	}
	return Template{parts: []part{{source: hide(text), ref: ref}}}, nil
}

// ParseText is Parse for a text that cannot be a reference itself, such as a
// file: only what is within ${…} counts.
func ParseText(text string) (Template, error) {
	var t Template
	begin := 0 // of the literal under way
	var literal strings.Builder
	flush := func(end int) {
		if end > begin {
			t.parts = append(t.parts, part{source: hide(text[begin:end]), literal: hide(literal.String())})
			literal.Reset()
		}
	}
	for i := 0; i < len(text); {
		next := strings.IndexByte(text[i:], '$')
		if next < 0 {
			next = len(text) - i
		}
		literal.WriteString(text[i : i+next])
		i += next
		switch {
		case opens(text[i:], "$${"):
			literal.WriteString("${")
			i += len("$${")
		case opens(text[i:], "${"):
			flush(i)
			ref, length, err := parseEmbedded(text[i:])
			if err != nil {
				err.Offset = i
				return Template{}, err
			}
			t.parts = append(t.parts, part{source: hide(text[i : i+length]), ref: ref})
			i += length
			begin = i
		case i < len(text):
			literal.WriteByte('$')
			i++
		}
	}
	flush(len(text))
	return t, nil
}

// opens says whether text begins with the bracket and a scheme.
func opens(text, bracket string) bool {
	rest, ok := strings.CutPrefix(text, bracket)
	if !ok {
		return false
	}
	_, ok = schemeOf(rest)
	return ok
}

// parseEmbedded parses the ${…} that text begins with and returns its length.
func parseEmbedded(text string) (Reference, int, *ParseError) {
	s, _ := schemeOf(text[len("${"):])
	begin := len("${") + len(s)
	length := strings.IndexByte(text[begin:], '}')
	if length < 0 {
		return Reference{}, 0, &ParseError{Scheme: s, Reason: "its ${ has no }"}
	}
	ref, err := parseReference(s, text[begin:begin+length])
	if err != nil {
		return Reference{}, 0, &ParseError{Scheme: s, Reason: err.Error()}
	}
	return ref, begin + length + len("}"), nil
}

// References returns the references in the order of the text.
func (t Template) References() []Reference {
	var refs []Reference
	for _, p := range t.parts {
		if p.literal == nil {
			refs = append(refs, p.ref)
		}
	}
	return refs
}

// Plain returns what the text stands for if it has no references: itself, less
// the escapes.
func (t Template) Plain() (text string, ok bool) {
	if len(t.References()) > 0 {
		return "", false
	}
	return t.expand(nil), true
}

// Text returns what was parsed, which may hold secrets.
func (t Template) Text() string {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.source())
	}
	return b.String()
}

// String returns the references, with "…" in place of what is around them.
func (t Template) String() string {
	var b strings.Builder
	for _, p := range t.parts {
		switch {
		case p.literal != nil:
			b.WriteString("…")
		case len(t.parts) == 1:
			b.WriteString(p.ref.String())
		default:
			b.WriteString("${" + p.ref.String() + "}")
		}
	}
	return b.String()
}

// expand puts values in place of the references.
func (t Template) expand(value func(Reference) string) string {
	var b strings.Builder
	for _, p := range t.parts {
		if p.literal != nil {
			b.WriteString(p.literal())
		} else {
			b.WriteString(value(p.ref))
		}
	}
	return b.String()
}
