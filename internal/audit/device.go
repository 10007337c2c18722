package audit

import (
	"context"
	"errors"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

// ErrClosed is returned by a device that was closed.
var ErrClosed = errors.New("audit: device is closed")

// Declared is an audit device as an operator declared it.
type Declared struct {
	Path        string // its name, with a trailing slash: "file/"
	Type        string // "file"
	Description string
	Options     map[string]string
	Local       bool // kept for clients; there is no replication
}

// Sink takes finished lines. Implementations are safe for concurrent use.
type Sink interface {
	// Write returns nil once line, which ends with a newline, is recorded. It
	// does not keep line. If ctx ends first it returns the cause, and the line may
	// or may not be recorded.
	Write(ctx context.Context, line []byte) error

	// Reopen begins anew where the device's name now leads, after the old file was
	// moved away.
	Reopen() error

	// Close waits for writes in progress. Later ones return ErrClosed.
	Close() error
}

// Device is an open audit device: how lines are made, and where they go.
type Device struct {
	format format
	sink   Sink
}

// Open returns the device that type and options of d ask for. The salt keys its
// hashes: 32 random bytes that the caller keeps, so that hashes of today can be
// compared with those of last year. The device must be closed.
//
// An unknown type and bad options are errors of the kind [logical.ErrInvalid].
func Open(d Declared, salt secret.Bytes) (*Device, error) {
	o, err := parseOptions(d.Type, d.Options)
	if err != nil {
		return nil, err
	}
	if salt.Empty() {
		return nil, errors.New("audit: internal error: device without a salt")
	}
	sink, err := openFile(o.path, o.mode)
	if err != nil {
		return nil, &logical.Error{
			Kind: logical.ErrInvalid, Err: err,
			Text: "sanity check failed; unable to open \"" + o.path + "\" for writing: " + reasonOf(err),
		}
	}
	return &Device{format: newFormat(o, salt), sink: sink}, nil
}

// Hash returns input as the device's lines show it.
func (d *Device) Hash(input string) string {
	h := d.format.hashers.take()
	defer d.format.hashers.put(h)
	return string(h.appendHash(nil, []byte(input)))
}

// Close closes the device. It waits for lines that are being written.
func (d *Device) Close() error { return d.sink.Close() }
