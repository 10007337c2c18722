package runner

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/BurntSushi/toml"
)

// rewriteTOML keeps values and their types. Comments and order are lost.
func rewriteTOML(content []byte, visit visitor) ([]byte, error) {
	var document map[string]any
	if _, err := toml.Decode(string(content), &document); err != nil {
		if pe := new(toml.ParseError); errors.As(err, pe) {
			return nil, fmt.Errorf("line %d: not valid TOML", pe.Position.Line)
		}
		return nil, errors.New("not valid TOML")
	}
	visitTOML("", document, visit)
	var out bytes.Buffer
	if err := toml.NewEncoder(&out).Encode(document); err != nil {
		return nil, errors.New("the TOML cannot be written again")
	}
	return out.Bytes(), nil
}

// visitTOML returns what takes the value's place: itself, but for strings.
func visitTOML(path string, value any, visit visitor) any {
	switch value := value.(type) {
	case string:
		if text, ok := visit(path, value); ok {
			return text
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			value[key] = visitTOML(keyPath(path, key), value[key], visit)
		}
	case []any:
		for i := range value {
			value[i] = visitTOML(indexPath(path, i), value[i], visit)
		}
	case []map[string]any:
		for i := range value {
			visitTOML(indexPath(path, i), value[i], visit)
		}
	}
	return value
}
