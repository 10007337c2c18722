package redact

import (
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// escaper appends what an encoder writes for one rune. Raw is the rune's bytes;
// r is utf8.RuneError for a byte that is not UTF-8.
type escaper func(dst []byte, r rune, raw []byte) []byte

// escapers are the encoders that values pass through on their way to a log, each
// in the variants of well-known implementations.
var escapers = []escaper{
	jsonString{}.escape, jsonString{caps: true}.escape, jsonString{also: markup}.escape, // Go's without and with HTML
	jsonString{ascii: true}.escape, jsonString{ascii: true, caps: true}.escape, jsonString{ascii: true, also: markup}.escape, // Python's
	jsonString{slash: true}.escape, jsonString{ascii: true, slash: true}.escape, // PHP's
	jsonString{also: markup + "='"}.escape, jsonString{ascii: true, caps: true, also: "\"&'+<>`"}.escape, // Gson's, .NET's

	percent{free: "-_.~", plus: true}.escape, percent{free: "-_.~", plus: true, small: true}.escape, // Go's QueryEscape, Python's quote_plus
	percent{free: "-_.~"}.escape, percent{free: "-_.~", small: true}.escape, // RFC 3986 §2.3
	percent{free: "-_.", plus: true}.escape, percent{free: "*-._", plus: true}.escape, // PHP's urlencode; WHATWG forms
	percent{free: "-_.~/"}.escape, percent{free: "-_.!~*'()"}.escape, // Python's quote, JavaScript's encodeURIComponent
	percent{free: "-_.!~*'();,/?:@&=+$#"}.escape, percent{free: "-_.~$&+,/:;=@"}.escape, // encodeURI; Go's paths
	percent{free: "-_.~$&+=:@"}.escape, percent{free: "-_.~$&+,;="}.escape, // Go's PathEscape, and user names

	replacer{"'": `'\''`}.escape, replacer{"'": `'"'"'`}.escape, // within '…' of a shell
	replacer{"\\": `\\`, `"`: `\"`, "$": `\$`, "`": "\\`"}.escape, // within "…" of one
	shellWord, shellANSI,

	python{quote: true}.escape, python{}.escape, python{quote: true, ascii: true}.escape, python{ascii: true}.escape,

	replacer{"&": "&amp;", "<": "&lt;", ">": "&gt;"}.escape,
	replacer{"&": "&amp;", "<": "&lt;", ">": "&gt;", `"`: "&#34;", "'": "&#39;"}.escape,
	replacer{"&": "&amp;", "<": "&lt;", ">": "&gt;", `"`: "&quot;", "'": "&#x27;"}.escape,
	replacer{"&": "&amp;", "<": "&lt;", ">": "&gt;", `"`: "&quot;", "'": "&#39;"}.escape,
	replacer{"&": "&amp;", "<": "&lt;", ">": "&gt;", `"`: "&quot;", "'": "&apos;"}.escape,
	replacer{"&": "&amp;", "<": "&lt;", ">": "&gt;", `"`: "&quot;"}.escape,

	replacer{"'": "''"}.escape, replacer{`"`: `""`}.escape, // SQL and YAML; CSV
}

// nested are those that are often quoted in JSON again: a log line in JSON whose
// message is JSON.
var nested = []escaper{jsonString{}.escape, jsonString{also: markup}.escape, jsonString{ascii: true}.escape}

func escape(text []byte, one escaper) []byte {
	dst := make([]byte, 0, len(text)+len(text)/2)
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		dst = one(dst, r, text[:size])
		text = text[size:]
	}
	return dst
}

// isInvalid says whether raw is no UTF-8, rather than the rune that stands for
// such bytes.
func isInvalid(r rune, raw []byte) bool { return r == utf8.RuneError && len(raw) == 1 }

const (
	smallDigits = "0123456789abcdef"
	capDigits   = "0123456789ABCDEF"
)

// jsonString is the inside of a JSON string (RFC 8259 §7).
type jsonString struct {
	also  string // is written as \u00XX
	ascii bool   // what is beyond ASCII, too
	slash bool   // is escaped
	caps  bool   // hexadecimal digits
}

// markup is what means something in HTML and JavaScript.
const markup = "<>&\u2028\u2029"

func (j jsonString) escape(dst []byte, r rune, raw []byte) []byte {
	if strings.ContainsRune(j.also, r) && !isInvalid(r, raw) {
		return j.unit(dst, r)
	}
	if i := strings.IndexRune("\"\\\n\r\t\b\f", r); i >= 0 {
		return append(dst, '\\', `"\nrtbf`[i])
	}
	switch {
	case r == '/' && j.slash:
		return append(dst, '\\', '/')
	case isInvalid(r, raw):
		return j.unit(dst, utf8.RuneError) // what Go makes of it
	case r < ' ':
		return j.unit(dst, r)
	case j.ascii && r > unicode.MaxASCII:
		if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
			return j.unit(j.unit(dst, high), low)
		}
		return j.unit(dst, r)
	}
	return append(dst, raw...)
}

func (j jsonString) unit(dst []byte, u rune) []byte {
	digits := smallDigits
	if j.caps {
		digits = capDigits
	}
	return append(dst, '\\', 'u', digits[u>>12&15], digits[u>>8&15], digits[u>>4&15], digits[u&15])
}

// percent is percent-encoding (RFC 3986 §2.1).
type percent struct {
	free  string // is not encoded, beside letters and digits
	plus  bool   // a space is +
	small bool   // hexadecimal digits
}

func (p percent) escape(dst []byte, r rune, raw []byte) []byte {
	digits := capDigits
	if p.small {
		digits = smallDigits
	}
	switch {
	case r == ' ' && p.plus:
		return append(dst, '+')
	case isAlphanumeric(r), r <= unicode.MaxASCII && strings.IndexByte(p.free, byte(r)) >= 0:
		return append(dst, raw...)
	}
	for _, b := range raw {
		dst = append(dst, '%', digits[b>>4], digits[b&15])
	}
	return dst
}

// replacer puts other texts in place of some characters.
type replacer map[string]string

func (m replacer) escape(dst []byte, _ rune, raw []byte) []byte {
	if to, ok := m[string(raw)]; ok {
		return append(dst, to...)
	}
	return append(dst, raw...)
}

// shellWord puts a backslash before what a shell would take for something else,
// as bash's printf %q does.
func shellWord(dst []byte, r rune, raw []byte) []byte {
	if strings.ContainsRune(" !\"#$&'()*,;<>?[\\]^`{|}~", r) {
		dst = append(dst, '\\')
	}
	return append(dst, raw...)
}

// shellANSI is the inside of $'…', as bash writes it.
func shellANSI(dst []byte, r rune, raw []byte) []byte {
	if i := strings.IndexRune("\\'\n\r\t\a\b\f\v\x1b", r); i >= 0 {
		return append(dst, '\\', `\'nrtabfvE`[i])
	}
	if r < ' ' || r == 0x7f || isInvalid(r, raw) {
		b := raw[0]
		return append(dst, '\\', '0'+b>>6, '0'+b>>3&7, '0'+b&7)
	}
	return append(dst, raw...)
}

// python is the inside of what repr writes for a str or, with ascii, for bytes.
type python struct {
	quote bool // the text is within '…' and has both quotes
	ascii bool
}

func (p python) escape(dst []byte, r rune, raw []byte) []byte {
	if i := strings.IndexRune("\\\n\r\t", r); i >= 0 {
		return append(dst, '\\', `\nrt`[i])
	}
	switch {
	case r == '\'' && p.quote:
		return append(dst, '\\', '\'')
	case r < ' ', r == 0x7f, isInvalid(r, raw), r > unicode.MaxASCII && p.ascii:
		for _, b := range raw {
			dst = append(dst, '\\', 'x', smallDigits[b>>4], smallDigits[b&15])
		}
		return dst
	}
	return append(dst, raw...)
}
