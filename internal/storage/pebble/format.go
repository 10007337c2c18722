package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cofferhq/coffer/internal/storage"
)

// format numbers the layout below. It rises when an older release could not
// read the folder any more.
const format = 1

// The layout: users' keys stand behind entryTag, so that they can be any bytes;
// the store's own keys behind ownTag. A user's value follows the revision that
// wrote it.
const (
	entryTag = 'k'
	ownTag   = '\x00'

	revisionBytes = 8 // big endian
)

var (
	formatKey   = []byte{ownTag, 'f', 'o', 'r', 'm', 'a', 't'}                  // → format
	revisionKey = []byte{ownTag, 'r', 'e', 'v', 'i', 's', 'i', 'o', 'n'}        // → newest revision
	errDamaged  = errors.New("an entry is damaged: too short for its revision") // checksums make that a bug
)

func appendKey(b []byte, key string) []byte {
	return append(append(b, entryTag), key...)
}

func appendRevision(b []byte, rev storage.Revision) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(rev))
}

// cutRevision splits what is stored into revision and value. The value is a
// part of stored.
func cutRevision(stored []byte) (storage.Revision, []byte, error) {
	if len(stored) < revisionBytes {
		return 0, nil, errDamaged
	}
	return storage.Revision(binary.BigEndian.Uint64(stored)), stored[revisionBytes:], nil
}

// bounds returns the stored keys from that of the first entry of a Range up to,
// and without, the end of what begins with prefix.
func bounds(prefix, after string) (lower, upper []byte) {
	lower = appendKey(make([]byte, 0, 2+max(len(prefix), len(after))), max(prefix, after))
	if after != "" && after >= prefix {
		lower = append(lower, 0) // the next key
	}
	upper = appendKey(make([]byte, 0, 1+len(prefix)), prefix)
	for upper[len(upper)-1] == 0xff {
		upper = upper[:len(upper)-1] // entryTag stops it
	}
	upper[len(upper)-1]++
	return lower, upper
}

// recall returns the newest revision of the store in db. If db is new, it is
// made a store at revision zero.
func recall(db *pebble.DB) (storage.Revision, error) {
	found, ok, err := number(db, formatKey)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, create(db)
	}
	if found > format {
		return 0, fmt.Errorf("%w (format %d, this release knows %d)", ErrNewerFormat, found, format)
	}
	rev, _, err := number(db, revisionKey)
	return storage.Revision(rev), err
}

// create writes the format into an empty db. A db with content is of some other
// program.
func create(db *pebble.DB) error {
	it, err := db.NewIter(nil)
	if err != nil {
		return err
	}
	foreign := it.First()
	if err := it.Close(); err != nil {
		return err
	}
	if foreign {
		return errors.New("the folder holds the database of another program")
	}
	if err := db.Set(formatKey, binary.BigEndian.AppendUint64(nil, format), pebble.Sync); err != nil {
		return err
	}
	// The first log was begun before Pebble knew in what format. This begins the
	// next one, which has what shows damage in its middle; the flush may end later.
	_, err = db.AsyncFlush()
	return err
}

// number reads one of the store's own entries.
func number(db *pebble.DB, key []byte) (n uint64, ok bool, err error) {
	stored, closer, err := db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer closer.Close()
	rev, _, err := cutRevision(stored)
	return uint64(rev), true, err
}
