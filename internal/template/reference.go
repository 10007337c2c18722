package template

import (
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/cofferhq/coffer/secrets"
)

// cut makes nodes of a text that begins in line and in which [secrets.ParseText]
// finds no fault: what stands between references, and a call of ref for each.
func (t *Template) cut(n *parse.TextNode, line int) ([]parse.Node, error) {
	var nodes []parse.Node
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			nodes = append(nodes, &parse.TextNode{NodeType: parse.NodeText, Pos: n.Pos, Text: []byte(literal.String())})
			literal.Reset()
		}
	}
	for text := string(n.Text); text != ""; {
		plain, ref, length := next(text)
		if ref == "" {
			literal.WriteString(plain)
		} else {
			flush()
			call, err := t.call(ref, line)
			if err != nil {
				return nil, syntaxError(t.name, err)
			}
			nodes = append(nodes, call)
		}
		line += strings.Count(text[:length], "\n")
		text = text[length:]
	}
	flush()
	return nodes, nil
}

// next returns what the beginning of text stands for, a text or a reference, and
// how long it is.
func next(text string) (plain, ref string, length int) {
	dollar := strings.IndexByte(text, '$')
	switch {
	case dollar < 0:
		return text, "", len(text)
	case dollar > 0:
		return text[:dollar], "", dollar
	}
	if rest, ok := strings.CutPrefix(text, "$${"); ok {
		if more := strings.IndexByte(rest, '$'); more >= 0 {
			rest = rest[:more]
		}
		// It may be an escape, and has no reference.
		length = len("$${") + len(rest)
		if escaped, err := secrets.ParseText(text[:length]); err == nil {
			plain, _ = escaped.Plain()
			return plain, "", length
		}
	}
	if end := strings.IndexByte(text, '}'); end >= 0 && strings.HasPrefix(text, "${") {
		parsed, err := secrets.ParseText(text[:end+1])
		if refs := parsed.References(); err == nil && len(refs) == 1 && parsed.String() == refs[0].String() {
			return "", text[len("${"):end], end + 1
		}
	}
	return "$", "", 1
}

// call is the node of {{ ref "…" }} that stands in line.
func (t *Template) call(ref string, line int) (parse.Node, error) {
	text := strings.Repeat("\n", line-1) + "{{- ref " + strconv.Quote(ref) + " }}"
	made, err := template.New(rootName).Funcs(t.functions(nil)).Parse(text)
	if err != nil {
		return nil, err
	}
	return made.Root.Nodes[len(made.Root.Nodes)-1], nil
}
