package kv

import (
	"encoding/json"
	"testing"
)

// An answer that writes itself is what encoding/json would write.
func TestDataAnswersWriteThemselves(t *testing.T) {
	created := timeText(1767323045000000001)
	for _, a := range []dataAnswer{
		{},
		{Data: json.RawMessage(`{"a":"b"}`), Metadata: versionAnswer{Created: created, Version: 7}},
		{Metadata: versionAnswer{Created: created, Deletion: created, Destroyed: true, Version: 1}},
		{Data: json.RawMessage(`{}`), Metadata: versionAnswer{Custom: map[string]string{"owner": `a "b" <c>`, "x": "é"}, Version: 2}},
		{Data: json.RawMessage(`{}`), Metadata: versionAnswer{Custom: map[string]string{}}},
	} {
		want, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(a.AppendJSON([]byte("x"))); got != "x"+string(want) {
			t.Errorf("got  %s\nwant x%s", got, want)
		}
	}
}
