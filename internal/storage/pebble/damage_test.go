package pebble

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

const ours, other = 7, 6 // numbers of logs

// appendRecord adds a record, in as many chunks as there are blocks that it lies
// in. A header of plainHeader is that of a manifest.
func appendRecord(b []byte, header int, number uint32, synced uint64, payload int) []byte {
	const full, first, middle, last = 0, 1, 2, 3
	for begun := false; ; begun = true {
		left := blockBytes - len(b)%blockBytes
		if left < header {
			b = append(b, make([]byte, left)...)
			left = blockBytes
		}
		n := min(payload, left-header)
		payload -= n
		position := byte(middle)
		switch {
		case !begun && payload == 0:
			position = full
		case !begun:
			position = first
		case payload == 0:
			position = last
		}
		if b = append(b, chunkOf(header, position, number, synced, n)...); payload == 0 {
			return b
		}
	}
}

func chunkOf(header int, position byte, number uint32, synced uint64, payload int) []byte {
	c := make([]byte, header, header+payload)
	binary.LittleEndian.PutUint16(c[4:], uint16(payload))
	c[6] = position + map[int]byte{plainHeader: 1, numberedHeader: 5, syncedHeader: 9}[header]
	if header > plainHeader {
		binary.LittleEndian.PutUint32(c[plainHeader:], number)
	}
	if header == syncedHeader {
		binary.LittleEndian.PutUint64(c[numberedHeader:], synced)
	}
	for i := range payload {
		c = append(c, byte(i%251+1))
	}
	binary.LittleEndian.PutUint32(c, cooked(c[6:]))
	return c
}

// logOf returns a log of records that were each synced before the next, and where
// they begin.
func logOf(records, payload int) (content []byte, starts []int) {
	for range records {
		starts = append(starts, len(content))
		content = appendRecord(content, syncedHeader, ours, uint64(len(content)), payload)
	}
	return content, starts
}

func manifestOf(records, payload int) (content []byte, starts []int) {
	for range records {
		starts = append(starts, len(content))
		content = appendRecord(content, plainHeader, 0, 0, payload)
	}
	return content, starts
}

func flipped(content []byte, at int) []byte {
	c := bytes.Clone(content)
	c[at] ^= 1
	return c
}

func TestDamageIsToldFromACrash(t *testing.T) {
	log, inLog := logOf(100, 1000)
	manifest, inManifest := manifestOf(5, 1000)
	zeros := make([]byte, 3*blockBytes)
	for _, tt := range []struct {
		name     string
		content  []byte
		manifest bool
		damaged  bool
	}{
		{"an empty log", nil, false, false},
		{"a whole log", log, false, false},
		{"a log with room behind", slices.Concat(log, zeros), false, false},
		{"a log that was cut off", log[:len(log)-100], false, false},
		{"a log over an older one", slices.Concat(log[:inLog[5]], appendRecord(nil, syncedHeader, other, 1<<20, 1000)), false, false},
		{"a log whose last record is bad", flipped(log, inLog[99]+500), false, false},
		{"a log with a bad value", flipped(log, inLog[3]+500), false, true},
		{"a log with a bad length", flipped(log, inLog[3]+5), false, true},
		{"a log with a bad checksum", flipped(log, inLog[3]), false, true},
		{"a log with a bad first record", flipped(log, 6), false, true},
		{"a log with a hole", slices.Concat(log[:inLog[40]], make([]byte, 1019), log[inLog[41]:]), false, true},
		{"a whole manifest", manifest, true, false},
		{"a manifest that was cut off", manifest[:len(manifest)-1], true, false},
		{"a manifest that was cut off in a header", manifest[:inManifest[4]+5], true, false},
		{"a manifest whose last sectors were not written", slices.Concat(manifest[:len(manifest)-700], make([]byte, 700)), true, false},
		{"a manifest with a bad record", flipped(manifest, inManifest[1]+50), true, true},
		{"a manifest whose last record is bad", flipped(manifest, len(manifest)-1), true, true},
		{"a manifest whose last record has a bad checksum", flipped(manifest, inManifest[4]), true, true},
		{"a manifest whose last record has a length too large", flipped(manifest, inManifest[4]+5), true, true},
		{"a manifest whose last record has a length too small", flipped(manifest, inManifest[4]+4), true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := checkChunks(tt.content, ours, tt.manifest); errors.Is(err, errDamagedLog) != tt.damaged {
				t.Errorf("got %v", err)
			}
		})
	}
}

func FuzzWhatACrashCutsOffIsNoDamage(f *testing.F) {
	f.Add(uint8(3), uint16(100), uint16(50), []byte("rest"))
	f.Fuzz(func(t *testing.T, records uint8, payload, cut uint16, rest []byte) {
		log, _ := logOf(int(records), int(payload)%(blockBytes/2))
		manifest, _ := manifestOf(int(records), int(payload)%(blockBytes/2))
		for _, tt := range []struct {
			content  []byte
			manifest bool
		}{{log, false}, {manifest, true}} {
			content := tt.content[:max(0, len(tt.content)-int(cut))]
			if err := checkChunks(content, ours, tt.manifest); err != nil {
				t.Errorf("cut by %d: %v", cut, err)
			}
			checkChunks(slices.Concat(content, rest), ours, tt.manifest) // any answer, but no panic
		}
	})
}
