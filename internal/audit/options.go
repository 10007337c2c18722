package audit

import (
	"io/fs"
	"strconv"
	"strings"

	"github.com/cofferhq/coffer/internal/logical"
)

// defaultMode is the mode of a new audit file.
const defaultMode fs.FileMode = 0o600

// options is what the options of a device say.
type options struct {
	path         string      // of the file, or "stdout" or "discard"
	mode         fs.FileMode // of the file; zero: an existing file keeps its own
	prefix       string      // before each line
	raw          bool        // nothing is hashed
	hashAccessor bool
	elideLists   bool // answers to lists show how many keys, not which
}

// parseOptions reads the options of a device of a type.
func parseOptions(typ string, texts map[string]string) (options, error) {
	if typ != "file" {
		return options{}, logical.Invalid("unknown backend type: %q", typ)
	}
	o := options{mode: defaultMode, hashAccessor: true}
	for name, text := range texts {
		if err := o.set(name, text); err != nil {
			return options{}, err
		}
	}
	if o.path == "" {
		return options{}, logical.Invalid("\"file_path\" is required")
	}
	return o, nil
}

// set takes one option, by the name that Vault documents.
func (o *options) set(name, text string) (err error) {
	switch name {
	case "file_path", "path": // the second is the old name
		o.path = text
	case "mode":
		o.mode, err = parseMode(text)
	case "prefix":
		if strings.ContainsAny(text, "\r\n") {
			return logical.Invalid("option \"prefix\" must not break the line")
		}
		o.prefix = text
	case "log_raw":
		o.raw, err = strconv.ParseBool(text)
	case "hmac_accessor":
		o.hashAccessor, err = strconv.ParseBool(text)
	case "elide_list_responses":
		o.elideLists, err = strconv.ParseBool(text)
	case "format":
		if text != "json" {
			return logical.Invalid("option \"format\": only \"json\" is supported")
		}
	default:
		return logical.Invalid("unknown option %q", name)
	}
	if err != nil {
		return logical.Invalid("option %q: %q is not a valid value", name, text)
	}
	return nil
}

// parseMode reads the octal mode of a file. A log that may be executed is a
// program that callers write.
func parseMode(text string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(text, 8, 32)
	if err != nil {
		return 0, err
	}
	if n&^0o666 != 0 {
		return 0, logical.Invalid("mode has other bits than reading and writing")
	}
	return fs.FileMode(n), nil
}
