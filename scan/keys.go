package scan

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// readPEM reads a private key, to the line that ends it if that is near.
func readPEM(v *view, at, n int) {
	if hasWord(v.b, at, "putty") {
		v.putty(at)
		return
	}
	label := v.b[at+n : min(len(v.b), at+n+60)]
	stop := bytes.Index(label, []byte("-----"))
	if stop < 0 || !bytes.Contains(label[:stop], []byte("PRIVATE KEY")) {
		return
	}
	body := at + n + stop + 5
	end := bytes.Index(v.b[body:], []byte("-----"))
	j := v.start("the label of a private key")
	if end < 0 || !bytes.HasPrefix(v.b[body+end:], []byte("-----END")) {
		if end < 0 {
			end = len(v.b) - body
		}
		end = pemLength(v.b[body : body+end])
		j.add(-0.15, "without its end")
	}
	text := pemText(v.b[body : body+end])
	switch {
	case len(text) < 40 || len(text) > ahead:
		return
	case entropy(text) < 4 || longestRun(text) > 12:
		j.add(-0.6, "is too regular")
	case bytes.Contains(v.b[at:body+end], []byte("ENCRYPTED")):
		j.add(-0.1, "encrypted with a passphrase")
	}
	if low := strings.ToLower(text[:40]); strings.Contains(low, "example") || strings.Contains(low, "yourkey") || strings.Contains(low, "placeholder") {
		j.add(-0.6, "a placeholder")
	}
	j.place(v.j.place, 0.5)
	whole := span{at, body + end}
	if tail := v.b[body+end:]; bytes.HasPrefix(tail, []byte("-----END")) {
		if stop := bytes.Index(tail[8:min(len(tail), 80)], []byte("-----")); stop >= 0 {
			whole.end = body + end + 8 + stop + 5
		}
	}
	v.found(whole, whole, j)
}

// pemLength is how long what looks like the lines of a key is.
func pemLength(b []byte) int {
	for i, c := range b {
		if !isTokenByte(c) && !isSpace(c) && strings.IndexByte("\\\"',:;-*#>|", c) < 0 {
			return i
		}
	}
	return len(b)
}

// pemText takes headers, line ends and what a program's text adds from a key.
func pemText(b []byte) string {
	s := strings.NewReplacer(`\r`, "", `\n`, "\n", `\\n`, "\n", "\r", "", `%0A`, "\n", `%2B`, "+", `%2F`, "/", `%3D`, "=", "&#10;", "\n").Replace(string(b))
	var out strings.Builder
	for line := range strings.SplitSeq(s, "\n") {
		line = strings.Trim(line, " \t\"'+,;\\.*#|>/-")
		if strings.Contains(line, ":") {
			continue
		}
		for i := range len(line) {
			if c := line[i]; isWordByte(c) || c == '+' || c == '/' || c == '=' {
				out.WriteByte(c)
			}
		}
	}
	return out.String()
}

// putty reads a private key of PuTTY's.
func (v *view) putty(at int) {
	i := bytes.Index(v.b[at:], []byte("Private-Lines:"))
	if i < 0 {
		return
	}
	end := at + i
	for line := 0; line < 40 && end < len(v.b); line++ {
		next := bytes.IndexByte(v.b[end:], '\n')
		if next < 0 {
			end = len(v.b)
			break
		}
		if line > 0 && bytes.ContainsAny(v.b[end:end+next], ": ") {
			break
		}
		end += next + 1
	}
	whole := trimSpan(v.b, span{at, end})
	j := v.start("a private key of PuTTY's")
	j.place(v.j.place, 0.5)
	v.found(whole, whole, j)
}

func isBase64URL(c byte) bool { return isWordByte(c) || c == '-' }

// readJWT reads a signed token whose header and claims are JSON.
func readJWT(v *view, at, _ int) {
	if at > 0 && !startsToken(v.b, at) {
		return
	}
	var parts []span
	i := at
	for len(parts) < 5 {
		start := i
		for i < len(v.b) && isBase64URL(v.b[i]) {
			i++
		}
		parts = append(parts, span{start, i})
		if i+1 >= len(v.b) || v.b[i] != '.' || !isBase64URL(v.b[i+1]) {
			break
		}
		i++
	}
	if len(parts) != 3 && len(parts) != 5 {
		return
	}
	header, ok := jsonPart(v.b[parts[0].start:parts[0].end])
	if !ok || header["alg"] == nil {
		return
	}
	whole := span{at, i}
	j := v.start("the header of a JSON Web Token")
	if len(parts) == 3 {
		claims, ok := jsonPart(v.b[parts[1].start:parts[1].end])
		switch {
		case !ok:
			j.add(-0.4, "its claims are not JSON")
		case claims["name"] == "John Doe" || claims["sub"] == "1234567890":
			j.add(-0.7, "the example of jwt.io")
		}
		if parts[2].end-parts[2].start < 20 {
			j.add(-0.4, "its signature is short")
		}
		if bytes.Contains(v.b[whole.start:whole.end], []byte("...")) || longestRun(string(v.b[parts[2].start:parts[2].end])) > 8 {
			j.add(-0.6, "a placeholder")
		}
	}
	j.place(v.j.place, 1)
	v.found(whole, whole, j)
}

func jsonPart(b []byte) (map[string]any, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(string(b))
	if err != nil {
		return nil, false
	}
	var m map[string]any
	return m, json.Unmarshal(raw, &m) == nil
}

// readJWK reads the private part of a key that is in the same object as "kty".
func readJWK(v *view, at, _ int) {
	open, end := at, at
	for open > 0 && at-open < behind && v.b[open-1] != '{' && v.b[open-1] != '}' {
		open--
	}
	// So many quotes have no key's members: without the limit, text of nothing but
	// "kty" would be read a thousand times over.
	for quotes := 0; end < len(v.b) && end-at < 8<<10 && quotes < 200 && v.b[end] != '}' && v.b[end] != '{'; end++ {
		if v.b[end] == '"' || v.b[end] == '\'' {
			quotes++
		}
	}
	object := v.b[open:end]
	for _, member := range []string{`"d"`, `'d'`, `\"d\"`, `"k"`, `'k'`, `\"k\"`} {
		i := bytes.Index(object, []byte(member))
		if i < 0 || (member[len(member)-2] == 'k' && !bytes.Contains(object, []byte("oct"))) {
			continue
		}
		r := reader{b: v.b, at: open + i + len(member), place: v.j.place}
		r.blanks()
		var a assignment
		if !r.skip(":") || !r.value(&a) || !a.quoted {
			continue
		}
		text := string(v.b[a.value.start:a.value.end])
		if len(text) < 16 || !all(text, func(c byte) bool { return isBase64URL(c) || c == '=' || c == '+' || c == '/' }) || entropy(text) < 3 {
			continue
		}
		j := v.start("the private part of a JSON Web Key")
		j.place(v.j.place, 0.5)
		v.found(a.value, span{at, max(at, a.value.end)}, j)
		return
	}
}
