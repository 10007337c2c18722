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
	Type        string // "file", "syslog" or "socket"
	Description string
	Options     map[string]string
	Local       bool // kept for clients; there is no replication
}

// Sink takes finished lines. Implementations are safe for concurrent use.
type Sink interface {
	// Write returns nil once line, which ends with a newline, is recorded, which
	// means what until says where there is a disk. It does not keep line. If ctx ends
	// first it returns the cause, and the line may or may not be recorded.
	Write(ctx context.Context, line []byte, until durability) error

	// Reopen begins anew where the device's name now leads, after the old file was
	// moved away.
	Reopen() error

	// Close waits for writes in progress. Later ones return ErrClosed.
	Close() error
}

// Device is an open audit device: how lines are made, and where they go.
type Device struct {
	typ    string
	format format
	sink   Sink
	tally  tally
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
	sink, err := openSink(d.Type, o)
	if err != nil {
		return nil, err
	}
	return &Device{typ: d.Type, format: newFormat(o, salt), sink: sink}, nil
}

// openSink returns where the lines go. Peers are reached when there is a line.
func openSink(typ string, o options) (Sink, error) {
	switch typ {
	case "syslog":
		return openSyslog(loggers, o.facility, o.tag), nil
	case "socket":
		way := dialing{network: o.network, address: o.address, stream: o.network != "udp"}
		return newRemote([]dialing{way}, o.writeTimeout, nil), nil
	}
	sink, err := openFile(o.path, o.mode, o.warnFree)
	if err != nil {
		return nil, &logical.Error{
			Kind: logical.ErrInvalid, Err: err,
			Text: "sanity check failed; unable to open \"" + o.path + "\" for writing: " + reasonOf(err),
		}
	}
	return sink, nil
}

// Probe returns an error of the kind [logical.ErrInvalid] if the device could not
// record a line now because nobody is there to take it. UDP can't tell.
func (d *Device) Probe() error {
	r, ok := d.sink.(*remote)
	if !ok {
		return nil
	}
	if err := r.Probe(); err != nil {
		return &logical.Error{
			Kind: logical.ErrInvalid, Err: err,
			Text: "sanity check failed; unable to reach " + r.address() + ": " + err.Error(),
		}
	}
	return nil
}

// Hash returns input as the device's lines show it.
func (d *Device) Hash(input string) string {
	h := d.format.hashers.take()
	defer d.format.hashers.put(h)
	return string(h.appendHash(nil, []byte(input)))
}

// Close closes the device. It waits for lines that are being written.
func (d *Device) Close() error { return d.sink.Close() }
