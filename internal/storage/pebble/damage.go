package pebble

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// errDamagedLog says that bytes of a log, or of a manifest, changed after they
// were on the disk.
var errDamagedLog = errors.New("the file is damaged")

// Pebble takes the first bad record of a log, or of a manifest, for the end of
// what was written before a crash, and within a block of 32 KiB it does not look
// behind it. What follows would be lost without a word, so it is looked at here
// before Pebble reads the file. The form is that of pebble/record: records are cut
// into chunks, which lie within blocks; a chunk begins with the CRC of all that
// follows, its length and its encoding, then the number of the log and the offset
// up to which the log was synced when the chunk was written.
const (
	blockBytes = 32 << 10

	plainHeader    = 7  // encodings 1 to 4: a manifest
	numberedHeader = 11 // encodings 5 to 8: a log
	syncedHeader   = 19 // encodings 9 to 12: a log, with the synced offset
)

// chunk is one that is whole.
type chunk struct {
	end    int
	begins bool   // it is the first of a record
	synced uint64 // bytes of the log that were on the disk before it
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// cooked is the CRC of b as a chunk has it.
func cooked(b []byte) uint32 {
	sum := crc32.Checksum(b, castagnoli)
	return (sum>>15 | sum<<17) + 0xa282ead8
}

// chunkAt returns the chunk at an offset of a log, or of a manifest, whose number
// is not looked at.
func chunkAt(content []byte, number uint32, at int) (chunk, bool) {
	block := content[at:min(len(content), at-at%blockBytes+blockBytes)]
	if len(block) < plainHeader || block[6] == 0 || block[6] > 12 {
		return chunk{}, false
	}
	encoding := block[6] - 1
	header := [...]int{plainHeader, numberedHeader, syncedHeader}[encoding/4]
	end := header + int(binary.LittleEndian.Uint16(block[4:]))
	if end > len(block) || header > plainHeader && binary.LittleEndian.Uint32(block[plainHeader:]) != number {
		return chunk{}, false
	}
	if binary.LittleEndian.Uint32(block) != cooked(block[6:end]) {
		return chunk{}, false
	}
	c := chunk{end: at + end, begins: encoding%4 < 2}
	if header == syncedHeader {
		c.synced = binary.LittleEndian.Uint64(block[numberedHeader:])
	}
	return c, true
}

// checkChunks returns errDamagedLog if something in content proves that what
// can't be read before it was once on the disk: in a log a chunk that knows of a
// later sync; in a manifest, which is synced after each record, a later record.
func checkChunks(content []byte, number uint32, manifest bool) error {
	bad := 0
	for bad < len(content) {
		c, ok := chunkAt(content, number, bad)
		if left := blockBytes - bad%blockBytes; !ok && left < syncedHeader {
			c, ok = chunk{end: bad + left}, true // nothing fits in there
		}
		if !ok {
			break
		}
		bad = c.end
	}
	for at := bad + 1; at < len(content); at++ {
		c, ok := chunkAt(content, number, at)
		if ok && (manifest && c.begins || c.synced > uint64(bad)) {
			return fmt.Errorf("%w, at byte %d", errDamagedLog, bad)
		}
	}
	if manifest && !torn(content, bad) {
		return fmt.Errorf("%w, at byte %d", errDamagedLog, bad)
	}
	return nil
}

const sectorBytes = 512

// torn says whether the last record of a manifest, which can't be read, looks as
// a crash leaves it: it was cut off, or some sectors of it were never written and
// are zeros. Of a record that is all there a byte has changed. Without it the
// manifest would be that of an older store, and Pebble would remove whatever came
// later. (Logs are written over older ones, so that this is no proof for them.)
func torn(content []byte, bad int) bool {
	block := content[bad:min(len(content), bad-bad%blockBytes+blockBytes)]
	if len(block) < plainHeader {
		return true
	}
	end := plainHeader + int(binary.LittleEndian.Uint16(block[4:]))
	if end > len(block) { // or is only its length wrong?
		return binary.LittleEndian.Uint32(block) != cooked(block[6:])
	}
	for at := 0; at < end; {
		sector := min(end, at+sectorBytes-(bad+at)%sectorBytes)
		if len(bytes.Trim(block[at:sector], "\x00")) == 0 {
			return true
		}
		at = sector
	}
	return false
}

// checkFile checks a file that is about to be read, if it is of chunks.
func checkFile(fs vfs.FS, path string) error {
	name := fs.PathBase(path)
	manifest := strings.HasPrefix(name, "MANIFEST-")
	if !manifest && !isLog(name) {
		return nil
	}
	var number uint64
	if !manifest {
		var err error
		if number, err = strconv.ParseUint(strings.TrimSuffix(name, ".log"), 10, 32); err != nil {
			return nil // not one of Pebble's
		}
	}
	f, err := fs.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	content, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if err := checkChunks(content, uint32(number), manifest); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
