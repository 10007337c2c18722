package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// Broker gives every entry to all devices that are enabled. It is safe for
// concurrent use; logging takes no lock.
type Broker struct {
	// OnFailure is told of each device that could not record an entry, also when
	// others could. Nil: nobody is. It is set before the first entry, and must not
	// block.
	OnFailure func(path string, err error)

	// OnSpace is told when the space on a device's disk has become low, and when it
	// no longer is. As with OnFailure.
	OnSpace func(path string, s Space)

	mu   sync.Mutex // held while the list changes
	list atomic.Pointer[[]enabled]
}

// enabled is a device under its name. The list of them is never changed, only
// replaced.
type enabled struct {
	path   string
	device *Device
}

// NewBroker returns a Broker without devices.
func NewBroker() *Broker {
	b := &Broker{}
	b.list.Store(&[]enabled{})
	return b
}

// Enable adds an open device, which the Broker closes from here on. The path is
// its name, with a trailing slash. It returns an error of the kind
// [logical.ErrInvalid] if the name is in use; the device is the caller's then.
func (b *Broker) Enable(path string, d *Device) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := *b.list.Load()
	if slices.ContainsFunc(old, func(e enabled) bool { return e.path == path }) {
		return logical.Invalid("path is already in use at %s", path)
	}
	next := append(slices.Clip(slices.Clone(old)), enabled{path, d})
	b.list.Store(&next)
	return nil
}

// Disable removes a device and closes it. An unknown one is no error.
func (b *Broker) Disable(path string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var gone error
	next := slices.DeleteFunc(slices.Clone(*b.list.Load()), func(e enabled) bool { return e.path == path })
	old := b.list.Swap(&next)
	for _, e := range *old {
		if e.path == path {
			gone = e.device.Close()
		}
	}
	return gone
}

// Paths returns the names of the devices that are enabled, in the order in which
// they were.
func (b *Broker) Paths() []string {
	var paths []string
	for _, e := range *b.list.Load() {
		paths = append(paths, e.path)
	}
	return paths
}

// Empty says whether no device is enabled.
func (b *Broker) Empty() bool { return len(*b.list.Load()) == 0 }

// LogRequest records that e is about to be done. It returns nil once one device
// has recorded it, or if none is enabled, and else why each of them could not.
// What ends ctx ends the wait, not what is being written.
func (b *Broker) LogRequest(ctx context.Context, e *Entry) error { return b.log(ctx, e, typeRequest) }

// LogResponse records what e was answered; see [Broker.LogRequest].
func (b *Broker) LogResponse(ctx context.Context, e *Entry) error { return b.log(ctx, e, typeResponse) }

func (b *Broker) log(ctx context.Context, e *Entry, typ entryType) error {
	for {
		list := b.list.Load()
		err := b.logTo(ctx, *list, e, typ)
		// A device that was disabled meanwhile is closed: ask those that are left.
		if err == nil || b.list.Load() == list {
			return err
		}
	}
}

func (b *Broker) logTo(ctx context.Context, list []enabled, e *Entry, typ entryType) error {
	recorded := len(list) == 0
	var failed []error
	for _, to := range list {
		err := to.device.log(ctx, e, typ)
		b.tellSpace(to)
		if !errors.Is(err, ErrClosed) {
			to.device.tally.count(err)
		}
		if err == nil {
			recorded = true
			continue
		}
		if b.OnFailure != nil && !errors.Is(err, ErrClosed) { // it was disabled, which is no failure
			b.OnFailure(to.path, err)
		}
		failed = append(failed, fmt.Errorf("audit device %q: %w", to.path, err))
	}
	if recorded {
		return nil
	}
	return errors.Join(failed...)
}

func (b *Broker) tellSpace(of enabled) {
	if b.OnSpace == nil {
		return
	}
	if s := of.device.spaceNews(time.Now()); s != nil {
		b.OnSpace(of.path, *s)
	}
}

// Hash returns input as the lines of the device at path show it, or an error of
// the kind [logical.ErrInvalid] if there is no such device.
func (b *Broker) Hash(path, input string) (string, error) {
	for _, e := range *b.list.Load() {
		if e.path == path {
			return e.device.Hash(input), nil
		}
	}
	return "", logical.Invalid("unknown audit backend %q", path)
}

// Reopen makes every device begin anew where its name now leads, after files
// were moved away.
func (b *Broker) Reopen() error {
	return b.each(func(d *Device) error { return d.sink.Reopen() })
}

// Close disables all devices.
func (b *Broker) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.list.Swap(&[]enabled{})
	var failed []error
	for _, e := range *old {
		if err := e.device.Close(); err != nil {
			failed = append(failed, fmt.Errorf("audit device %q: %w", e.path, err))
		}
	}
	return errors.Join(failed...)
}

func (b *Broker) each(do func(d *Device) error) error {
	var failed []error
	for _, e := range *b.list.Load() {
		if err := do(e.device); err != nil {
			failed = append(failed, fmt.Errorf("audit device %q: %w", e.path, err))
		}
	}
	return errors.Join(failed...)
}
