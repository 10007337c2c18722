package database

import "strings"

// Dialect says how a system's language quotes: what a driver must know to put
// values into statements and to cut statements apart.
type Dialect struct {
	// Backslash: a backslash escapes the next character in '…' and "…", # begins a
	// comment, and `…` quotes a name (MySQL). Without it $tag$…$tag$ quotes,
	// E'…' has backslashes, and comments nest (PostgreSQL).
	Backslash bool
}

// The dialects.
var (
	PostgreSQL = Dialect{}
	MySQL      = Dialect{Backslash: true}
)

// place is where in a statement a piece of it stands.
type place uint8

const (
	code     place = iota
	comment        // of any form
	literal        // '…'
	escaped        // '…' in which a backslash escapes
	label          // "…" or `…`, in which only the quote itself is doubled
	guarded        // a quotation whose escapes we do not write
	dollared       // $tag$…$tag$, which holds a statement
)

// piece is a part of a statement in one place, with its quotes.
type piece struct {
	place place
	text  string
	quote string // what begins and ends it
}

// inner returns what stands between the quotes, and what ends it: nothing if the
// text ends before the quotation does.
func (p piece) inner() (body, end string) {
	body = p.text[len(p.quote):]
	if cut, ok := strings.CutSuffix(body, p.quote); ok {
		return cut, p.quote
	}
	return body, ""
}

// scanner cuts a statement into pieces.
type scanner struct {
	Dialect
	text   string
	pieces []piece
	from   int // where the code begins that is in no piece yet
}

// pieces returns the pieces of text, which joined are text again.
func (d Dialect) pieces(text string) []piece {
	s := scanner{Dialect: d, text: text}
	for i := 0; i < len(text); {
		p, ok := s.at(i)
		if !ok {
			i++
			continue
		}
		s.code(i)
		s.pieces = append(s.pieces, p)
		i += len(p.text)
		s.from = i
	}
	s.code(len(text))
	return s.pieces
}

func (s *scanner) code(end int) {
	if end > s.from {
		s.pieces = append(s.pieces, piece{place: code, text: s.text[s.from:end]})
	}
}

// at returns the piece that begins at i, if one does that is no code.
func (s *scanner) at(i int) (piece, bool) {
	rest := s.text[i:]
	switch c := rest[0]; {
	case c == '\'':
		return s.quoted(rest, s.literalPlace(i)), true
	case c == '"':
		return s.quoted(rest, s.labelPlace(i)), true
	case c == '`' && s.Backslash:
		return s.quoted(rest, label), true
	case c == '#' && s.Backslash, strings.HasPrefix(rest, "--"):
		return piece{place: comment, text: upTo(rest, "\n")}, true
	case strings.HasPrefix(rest, "/*"):
		return piece{place: comment, text: s.block(rest)}, true
	case c == '$' && !s.Backslash && !s.afterWord(i):
		if quote := dollarQuote(rest); quote != "" {
			body := upTo(rest[len(quote):], quote)
			return piece{place: dollared, text: quote + body, quote: quote}, true
		}
	}
	return piece{}, false
}

func (s *scanner) literalPlace(i int) place {
	before := s.text[s.from:i]
	switch {
	case s.Backslash, endsWithWord(before, "E"):
		return escaped
	case strings.HasSuffix(strings.ToUpper(before), "U&"):
		return guarded
	}
	return literal
}

// labelPlace: MySQL's "…" is a text or a name, by the server's mode.
func (s *scanner) labelPlace(i int) place {
	if s.Backslash || strings.HasSuffix(strings.ToUpper(s.text[s.from:i]), "U&") {
		return guarded
	}
	return label
}

// quoted returns the quotation at the start of rest.
func (s *scanner) quoted(rest string, c place) piece {
	quote := rest[:1]
	backslash := c == escaped || c == guarded && s.Backslash
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] == '\\' && backslash, strings.HasPrefix(rest[i:], quote+quote):
			i++
		case rest[i] == quote[0]:
			return piece{place: c, text: rest[:i+1], quote: quote}
		}
	}
	return piece{place: c, text: rest, quote: quote}
}

// block returns the comment at the start of rest.
func (s *scanner) block(rest string) string {
	depth := 0
	for i := 0; i+1 < len(rest); i++ {
		switch {
		case rest[i:i+2] == "/*" && (depth == 0 || !s.Backslash):
			depth++
			i++
		case rest[i:i+2] == "*/":
			depth--
			i++
			if depth == 0 {
				return rest[:i+1]
			}
		}
	}
	return rest
}

// upTo returns text up to and with the first end, or all of it.
func upTo(text, end string) string {
	if i := strings.Index(text, end); i >= 0 {
		return text[:i+len(end)]
	}
	return text
}

// dollarQuote returns the $tag$ at the start of rest.
func dollarQuote(rest string) string {
	for i := 1; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '$':
			return rest[:i+1]
		case !isWord(c) || i == 1 && isDigit(c):
			return ""
		}
	}
	return ""
}

func (s *scanner) afterWord(i int) bool { return i > s.from && isWord(s.text[i-1]) }

// endsWithWord says whether text ends with word, and not with a longer one.
func endsWithWord(text, word string) bool {
	at := len(text) - len(word)
	return at >= 0 && strings.EqualFold(text[at:], word) && (at == 0 || !isWord(text[at-1]))
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isWord says whether c may be part of a name. Bytes of characters beyond ASCII
// are.
func isWord(c byte) bool {
	return c == '_' || isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
