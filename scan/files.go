package scan

import (
	"bytes"
	"strings"
)

// readNetrc reads the password of an entry: machine NAME login NAME password VALUE.
func readNetrc(v *view, at, n int) {
	if at > 0 && !isSpace(v.b[at-1]) && v.b[at-1] != '"' && v.b[at-1] != '\'' {
		return
	}
	entry := v.b[at:min(len(v.b), at+400)]
	from := n
	seen := map[string]span{}
	key := "machine"
	for range 8 {
		for from < len(entry) && isSpace(entry[from]) {
			from++
		}
		end := from
		for end < len(entry) && !isSpace(entry[end]) && entry[end] != '"' && entry[end] != '\'' {
			end++
		}
		if _, done := seen["password"]; done || end == from {
			break
		}
		word := span{at + from, at + end}
		switch w := string(entry[from:end]); {
		case key != "":
			seen[key] = word
			key = ""
		case w == "login" || w == "password" || w == "account":
			key = w
		default:
			return
		}
		from = end
	}
	s, ok := seen["password"]
	if _, login := seen["login"]; !ok || !login {
		return
	}
	v.found(s, span{at, s.end}, v.judgeChosen(v.start("the password of a netrc entry"), string(v.b[s.start:s.end])))
}

// readPgpass reads every line of a file: host:port:database:user:password.
func readPgpass(v *view, _, _ int) {
	at := 0
	for line := range bytes.SplitSeq(v.b, []byte("\n")) {
		start := at
		at += len(line) + 1
		line = bytes.TrimRight(line, "\r")
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		fields, from := 0, 0
		for i := 0; i < len(line) && fields < 4; i++ {
			switch line[i] {
			case '\\':
				i++
			case ':':
				fields++
				from = i + 1
			}
		}
		if fields < 4 || from >= len(line) {
			continue
		}
		s := span{start + from, start + len(line)}
		v.found(s, span{start, s.end}, v.judgeChosen(v.start("the password of a pgpass line"), string(line[from:])))
	}
}

// maxCommand bounds how far from a program's name its arguments are looked for.
const maxCommand = 500

// commands are programs that take passwords as arguments, with the flags before
// one, as a word of its own or joined to it; userPass take user:password.
var commands = map[string]struct{ apart, joined, userPass []string }{
	"curl":       {userPass: []string{"-u", "--user", "--proxy-user", "-U"}},
	"wget":       {joined: []string{"--password=", "--http-password=", "--ftp-password="}},
	"mysql":      {joined: []string{"-p", "--password="}},
	"mysqldump":  {joined: []string{"-p", "--password="}},
	"mysqladmin": {joined: []string{"-p", "--password="}},
	"sshpass":    {apart: []string{"-p"}, joined: []string{"-p"}},
	"redis-cli":  {apart: []string{"-a", "--pass"}},
	"docker":     {apart: []string{"-p", "--password"}, joined: []string{"-p=", "--password="}},
	"smbclient":  {userPass: []string{"-U"}},
	"ldapsearch": {apart: []string{"-w"}},
	"htpasswd":   {},
	"mongosh":    {apart: []string{"-p", "--password"}},
	"mongo":      {apart: []string{"-p", "--password"}},
}

// readCommandLine reads the passwords among the arguments of a program.
func readCommandLine(v *view, at, n int) {
	if at > 0 && (isWordByte(v.b[at-1]) || v.b[at-1] == '-' || v.b[at-1] == '.') {
		return
	}
	program, _, _ := strings.Cut(strings.ToLower(string(v.b[at:at+n])), " ")
	flags := commands[program]
	var last string
	for word := range shellWords(v.b, at+n, maxCommand) {
		text := string(v.b[word.start:word.end])
		s := span{-1, -1}
		switch {
		case containsWord(flags.apart, last):
			s = word
		case containsWord(flags.userPass, last):
			s = afterColon(v.b, word)
		default:
			for _, f := range flags.joined {
				if rest, ok := strings.CutPrefix(text, f); ok && rest != "" && s.start < 0 {
					s = unquote(v.b, span{word.start + len(f), word.end})
				}
			}
		}
		last = text
		if s.start < 0 || s.end <= s.start {
			continue
		}
		value := string(v.b[s.start:s.end])
		if strings.HasPrefix(value, "-") || strings.HasPrefix(value, "$") {
			continue
		}
		v.found(s, span{at, s.end}, v.judgeChosen(v.start("a password among the arguments of "+program), value))
	}
}

func containsWord(list []string, w string) bool {
	for _, l := range list {
		if l == w {
			return true
		}
	}
	return false
}

func afterColon(b []byte, s span) span {
	i := bytes.IndexAny(b[s.start:s.end], ":%")
	if i < 0 {
		return span{-1, -1}
	}
	return span{s.start + i + 1, s.end}
}

func unquote(b []byte, s span) span {
	if s.end-s.start >= 2 && (b[s.start] == '"' || b[s.start] == '\'') && b[s.end-1] == b[s.start] {
		return span{s.start + 1, s.end - 1}
	}
	return s
}

// shellWords yields the words of a command line from at on, without quotes around
// them, to its end.
func shellWords(b []byte, at, most int) func(yield func(span) bool) {
	return func(yield func(span) bool) {
		stop := min(len(b), at+most)
		for at < stop {
			switch c := b[at]; {
			case isBlank(c):
				at++
				continue
			case c == '\\' && at+1 < stop && b[at+1] == '\n':
				at += 2
				continue
			case c == '\n' || c == ';' || c == '|' || c == '&' || c == '`' || c == ')' || c == 0:
				return
			}
			s := span{at, at}
			if q := b[at]; q == '"' || q == '\'' {
				end := bytes.IndexByte(b[at+1:stop], q)
				if end < 0 {
					return
				}
				s = span{at + 1, at + 1 + end}
				at = s.end + 1
			} else {
				quote := byte(0)
				for s.end < stop && b[s.end] != '\n' && (quote != 0 || (!isBlank(b[s.end]) && bytes.IndexByte([]byte(";|`)\r"), b[s.end]) < 0)) {
					switch c := b[s.end]; {
					case quote == c:
						quote = 0
					case quote == 0 && (c == '"' || c == '\''):
						quote = c
					}
					s.end++
				}
				at = s.end
			}
			if s.end > s.start && !yield(s) {
				return
			}
			if at == s.start {
				return
			}
		}
	}
}
