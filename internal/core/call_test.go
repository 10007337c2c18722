package core

import (
	"encoding/json"
	"testing"
	"time"
)

// An answer that writes itself is what encoding/json makes of the envelope.
func TestAnswersWriteThemselves(t *testing.T) {
	for name, a := range map[string]Answer{
		"nothing":  {},
		"a secret": {RequestID: "id", Data: json.RawMessage(`{"a":"b"}`), MountType: "kv", LeaseDuration: 90 * time.Second},
		"a lease":  {LeaseID: `database/creds/a "b"<c>é` + "\u2028", Renewable: true, Data: json.RawMessage(`{}`)},
		"a login":  {Auth: &Auth{ClientToken: "t", Policies: []string{"a"}, Metadata: map[string]string{"k": "v"}}},
		"a wrap":   {Wrap: &Wrap{Token: "t", TTL: 5}, Warnings: []string{"w & w", "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			want, err := json.Marshal(envelope{
				RequestID: a.RequestID, LeaseID: a.LeaseID, Renewable: a.Renewable,
				LeaseDuration: int64(a.LeaseDuration / time.Second),
				Data:          a.Data, WrapInfo: a.Wrap, Warnings: a.Warnings, Auth: a.Auth, MountType: a.MountType,
			})
			if err != nil {
				t.Fatal(err)
			}
			got, err := a.AppendJSON([]byte("x"))
			if err != nil || string(got) != "x"+string(want) {
				t.Errorf("%v\ngot  %s\nwant x%s", err, got, want)
			}
		})
	}
}

func TestFieldsBesideTheEnvelopeDoNotReplaceIt(t *testing.T) {
	a := Answer{RequestID: "id", TopLevel: true, Data: json.RawMessage(`{"keys":["a"],"request_id":"forged"}`)}
	text, err := a.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		RequestID string   `json:"request_id"`
		Keys      []string `json:"keys"`
	}
	if err := json.Unmarshal(text, &got); err != nil || got.RequestID != "id" || len(got.Keys) != 1 {
		t.Errorf("%v: %s", err, text)
	}
}
