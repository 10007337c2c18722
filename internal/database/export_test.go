package database

import (
	"regexp"
	"strings"
)

// Shape describes how a statement is read, without what is quoted.
func (d Dialect) Shape(statement string) string {
	var b strings.Builder
	for _, p := range d.pieces(statement) {
		switch p.place {
		case code:
			b.WriteString(strings.Map(wordsAreAlike, p.text))
		case comment:
			b.WriteString("#" + p.text + "#")
		case dollared:
			body, _ := p.inner()
			b.WriteString(p.quote + d.Shape(body) + p.quote)
		default:
			b.WriteString(p.quote + string('0'+rune(p.place)) + p.quote)
		}
	}
	return words.ReplaceAllString(b.String(), "w")
}

var words = regexp.MustCompile("w+")

func wordsAreAlike(r rune) rune {
	if r < 0x80 && isWord(byte(r)) {
		return 'w'
	}
	return r
}
