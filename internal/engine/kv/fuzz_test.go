package kv

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/cofferhq/coffer/internal/storage/storetest"
)

// What is stored is read for ever, and no bytes are read as what they are not.
func FuzzRecords(f *testing.F) {
	storetest.FuzzRecords(f, storetest.Records(secretForm), storetest.Records(dataForm), storetest.Records(configForm), storetest.Records(trashForm))
}

// The row of a version is read without being parsed: both ways must agree.
func FuzzDataIsReadAsItWasWritten(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":"b"}`, ` {"data" : {"v":1}} `, `{"a":[1,{"b":null}],"c":12345678901234567890}`, `null`, `"}"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		row, err := dataForm.Encode(&dataRow{Data: data})
		if err != nil {
			if len(data) > 0 && json.Valid(data) {
				t.Errorf("%q: %v", data, err)
			}
			return
		}
		quick, err := parseData(row)
		if err != nil {
			t.Fatal(err)
		}
		slow, err := parseData(append([]byte(" "), row...))
		if err != nil || string(quick) != "null" && !bytes.Equal(quick, slow) {
			t.Errorf("%q reads as %q and as %q, %v", data, quick, slow, err)
		}
	})
}
