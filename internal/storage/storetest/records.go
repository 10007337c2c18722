package storetest

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/storage"
)

// Kind is a kind of records for [FuzzRecords]. Make one with [Records].
type Kind struct {
	name    string
	rewrite func(record []byte) ([]byte, error)
}

// Records returns the kind of what is stored in form.
func Records[T any](form storage.Form[T]) Kind {
	return Kind{name: form.Name, rewrite: func(record []byte) ([]byte, error) {
		var r T
		if err := form.Decode(record, &r); err != nil {
			return nil, err
		}
		return form.Encode(&r)
	}}
}

// FuzzRecords holds the kinds to two laws.
//
// What has been stored once is read for ever: the lines of
// testdata/records/NAME.jsonl, one record each, are written again byte for byte.
// Lines of a form that is no longer written stand in NAME.old.jsonl, and are only
// read.
//
// Of any bytes, what is read is written so that it reads as the same, and what is
// not is refused without a word of it in the error.
func FuzzRecords(f *testing.F, kinds ...Kind) {
	for i, k := range kinds {
		file := filepath.Join("testdata", "records", strings.ReplaceAll(k.name, " ", "-"))
		for _, record := range lines(f, file+".jsonl") {
			if got, err := k.rewrite(record); err != nil || !bytes.Equal(got, record) {
				f.Errorf("%s: written as %s, %v; it was %s", k.name, got, err, record)
			}
			f.Add(uint8(i), record)
		}
		if _, err := os.Stat(file + ".old.jsonl"); err != nil {
			continue
		}
		for _, record := range lines(f, file+".old.jsonl") {
			if _, err := k.rewrite(record); err != nil {
				f.Errorf("%s: %v; it is %s", k.name, err, record)
			}
			f.Add(uint8(i), record)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, record []byte) {
		k := kinds[int(kind)%len(kinds)]
		once, err := k.rewrite(record)
		if err != nil {
			k.checkRefusal(t, record, err)
			return
		}
		if twice, err := k.rewrite(once); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%s: %q is written as %q, and that as %q, %v", k.name, record, once, twice, err)
		}
	})
}

// checkRefusal finds a canary in place of the record's texts, if the error has it.
func (k Kind) checkRefusal(t *testing.T, record []byte, err error) {
	if !errors.Is(err, storage.ErrMalformed) && !errors.Is(err, storage.ErrNewer) {
		t.Errorf("%s: %q is refused with %v", k.name, record, err)
	}
	const canary = "CANARY-5d0c"
	marked := bytes.ReplaceAll(record, []byte(`":"`), []byte(`":"`+canary))
	if _, err := k.rewrite(marked); err != nil && strings.Contains(err.Error(), canary) {
		t.Errorf("%s: the error shows what is stored: %v", k.name, err)
	}
}

func lines(f *testing.F, file string) [][]byte {
	f.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	return bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
}
