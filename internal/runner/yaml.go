package runner

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yamlLine finds the only part of a parser's message that is not of the file.
var yamlLine = regexp.MustCompile(`line (\d+)`)

// rewriteYAML keeps comments and order. What it writes is always a string, in
// quotes: a password of digits must not become a number.
func rewriteYAML(content []byte, visit visitor) ([]byte, error) {
	var out bytes.Buffer
	in := yaml.NewDecoder(bytes.NewReader(content))
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	for documents := 0; ; documents++ {
		var document yaml.Node
		err := in.Decode(&document)
		if errors.Is(err, io.EOF) && documents == 0 {
			return content, nil // blanks and comments at most
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, yamlError(err)
		}
		visitYAML("", &document, visit)
		if err := e.Encode(&document); err != nil {
			return nil, errors.New("the YAML cannot be written again")
		}
	}
	if err := e.Close(); err != nil {
		return nil, errors.New("the YAML cannot be written again")
	}
	return out.Bytes(), nil
}

func yamlError(err error) error {
	if line := yamlLine.FindStringSubmatch(err.Error()); line != nil {
		return fmt.Errorf("line %s: not valid YAML", line[1])
	}
	return errors.New("not valid YAML")
}

// visitYAML does not follow aliases: what they stand for is visited in its place.
func visitYAML(path string, n *yaml.Node, visit visitor) {
	switch n.Kind {
	case yaml.DocumentNode:
		for _, child := range n.Content {
			visitYAML(path, child, visit)
		}
	case yaml.SequenceNode:
		for i, child := range n.Content {
			visitYAML(indexPath(path, i), child, visit)
		}
	case yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 {
			visitYAML(keyPath(path, n.Content[i-1].Value), n.Content[i], visit)
		}
	case yaml.ScalarNode:
		// A tag of the program's own is put on strings.
		if tag := n.ShortTag(); tag != "!!str" && strings.HasPrefix(tag, "!!") {
			return
		}
		if text, ok := visit(path, n.Value); ok {
			n.Value = text
			n.Style = n.Style&yaml.TaggedStyle | yaml.DoubleQuotedStyle
		}
	}
}
