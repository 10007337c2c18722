package audit

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

const (
	// defaultMode is the mode of a new audit file.
	defaultMode fs.FileMode = 0o600

	defaultFacility = "AUTH"
	defaultTag      = "vault" // what those who filter for it expect

	defaultWriteTimeout = 2 * time.Second

	// longestWriteTimeout is how long requests may be held up by a peer that hangs.
	longestWriteTimeout = time.Minute
)

// options is what the options of a device say.
type options struct {
	prefix       string // before each line
	raw          bool   // nothing is hashed
	hashAccessor bool
	elideLists   bool // answers to lists show how many keys, not which

	// Of a file.
	path     string      // or "stdout" or "discard"
	mode     fs.FileMode // zero: an existing file keeps its own
	sync     syncing
	warnFree int64 // bytes left of the disk below which that is told

	// Of the system's logger.
	facility int
	tag      string

	// Of a socket.
	address      string
	network      string // "tcp", "udp" or "unix"
	writeTimeout time.Duration
}

// deviceType is one type of device.
type deviceType struct {
	set      func(o *options, name, text string) (known bool, err error) // takes an option of its own
	required string                                                      // option that it can't do without; empty: none
}

var deviceTypes = map[string]deviceType{
	"file":   {(*options).setFile, "file_path"},
	"syslog": {(*options).setSyslog, ""},
	"socket": {(*options).setSocket, "address"},
}

// parseOptions reads the options of a device of a type.
func parseOptions(typ string, texts map[string]string) (options, error) {
	t, ok := deviceTypes[typ]
	if !ok {
		return options{}, logical.Invalid("unknown backend type: %q", typ)
	}
	o := options{
		mode: defaultMode, warnFree: defaultWarnFree, hashAccessor: true, tag: defaultTag, facility: facilities[defaultFacility],
		network: "tcp", writeTimeout: defaultWriteTimeout,
	}
	for name, text := range texts {
		known, err := t.set(&o, name, text)
		if !known {
			known, err = o.setCommon(name, text)
		}
		if !known {
			return options{}, logical.Invalid("unknown option %q", name)
		}
		if err != nil {
			return options{}, badOption(name, text, err)
		}
	}
	if o.path == "" && o.address == "" && t.required != "" {
		return options{}, logical.Invalid("%q is required", t.required)
	}
	return o, nil
}

// badOption says why an option is refused, if more is known than that it is.
func badOption(name, text string, err error) error {
	var why *logical.Error
	if errors.As(err, &why) {
		return logical.Invalid("option %q: %s", name, why.Text)
	}
	return logical.Invalid("option %q: %q is not a valid value", name, text)
}

// setCommon takes one option that all types have, by the name that Vault documents.
func (o *options) setCommon(name, text string) (known bool, err error) {
	switch name {
	case "prefix":
		err = refuseBreaks(text)
		o.prefix = text
	case "log_raw":
		o.raw, err = strconv.ParseBool(text)
	case "hmac_accessor":
		o.hashAccessor, err = strconv.ParseBool(text)
	case "elide_list_responses":
		o.elideLists, err = strconv.ParseBool(text)
	case "format":
		if text != "json" {
			err = logical.Invalid("only \"json\" is supported")
		}
	default:
		return false, nil
	}
	return true, err
}

func (o *options) setFile(name, text string) (known bool, err error) {
	switch name {
	case "file_path", "path": // the second is the old name
		o.path = text
	case "mode":
		o.mode, err = parseMode(text)
	case "sync":
		o.sync, err = parseSyncing(text)
	case "warn_free":
		o.warnFree, err = parseSize(text)
	default:
		return false, nil
	}
	return true, err
}

func (o *options) setSyslog(name, text string) (known bool, err error) {
	switch name {
	case "facility":
		o.facility, err = parseFacility(text)
	case "tag":
		o.tag, err = text, refuseTag(text)
	default:
		return false, nil
	}
	return true, err
}

func (o *options) setSocket(name, text string) (known bool, err error) {
	switch name {
	case "address":
		o.address = text
	case "socket_type":
		o.network, err = text, refuseNetwork(text)
	case "write_timeout":
		o.writeTimeout, err = parseTimeout(text)
	default:
		return false, nil
	}
	return true, err
}

// parseMode reads the octal mode of a file. A log that may be executed is a
// program that callers write.
func parseMode(text string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(text, 8, 32)
	if err != nil {
		return 0, err
	}
	if n&^0o666 != 0 {
		return 0, logical.Invalid("%q is not a valid value: a file has bits for reading and writing", text)
	}
	return fs.FileMode(n), nil
}

// parseTimeout reads a time such as 500ms; a number without a unit is seconds.
func parseTimeout(text string) (time.Duration, error) {
	if _, err := strconv.ParseUint(text, 10, 32); err == nil {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, err
	}
	if d <= 0 || d > longestWriteTimeout {
		return 0, logical.Invalid("%q is not between 0 and %v", text, longestWriteTimeout)
	}
	return d, nil
}

func refuseBreaks(prefix string) error {
	if strings.ContainsAny(prefix, "\r\n") {
		return logical.Invalid("must not break the line")
	}
	return nil
}

// refuseTag keeps a tag from ending where readers of syslog would not expect it.
func refuseTag(tag string) error {
	bad := func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("[]:", c) }
	if tag == "" || len(tag) > 48 || strings.ContainsFunc(tag, bad) {
		return logical.Invalid("%q is no short word without brackets and colons", tag)
	}
	return nil
}

func refuseNetwork(network string) error {
	switch network {
	case "tcp", "udp", "unix":
		return nil
	}
	return logical.Invalid("%q is none of tcp, udp and unix", network)
}
