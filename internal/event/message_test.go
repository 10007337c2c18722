package event

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

func sample() *Message {
	m := messageOf(Record{
		ID: "a3be9fb1-b514-519f-5b25-b6f144a8c1ce", Type: "kv-v2/data-write", Time: time.Date(2026, 5, 1, 12, 0, 0, 5, time.UTC),
		MountPath: "secret/", MountType: "kv", Accessor: "kv_5dc4d18e", Version: "2", Path: "secret/data/foo",
		Metadata: map[string]string{"data_path": "secret/data/foo", "operation": "data-write", "modified": "true"},
	})
	m.hub.Source = "vault://cluster"
	return m
}

// The names and the nesting are those of Vault's documentation.
func TestEventsInJSON(t *testing.T) {
	const want = `{"id":"a3be9fb1-b514-519f-5b25-b6f144a8c1ce","source":"vault://cluster","specversion":"1.0","type":"*",` +
		`"data":{"event":{"id":"a3be9fb1-b514-519f-5b25-b6f144a8c1ce","metadata":{"data_path":"secret/data/foo","modified":"true",` +
		`"operation":"data-write","vault_index":"7"}},"event_type":"kv-v2/data-write","plugin_info":{"mount_class":"secret",` +
		`"mount_accessor":"kv_5dc4d18e","mount_path":"secret/","plugin":"kv","version":"2"}},` +
		`"datacontentype":"application/cloudevents","datacontenttype":"application/json","time":"2026-05-01T12:00:00.000000005Z"}`
	if diff := cmp.Diff(want, string(sample().JSON())); diff != "" {
		t.Error(diff)
	}
}

// fieldsOf reads the fields of a message, which are all of one type here.
func fieldsOf(t *testing.T, b []byte) map[protowire.Number][]byte {
	t.Helper()
	all := map[protowire.Number][]byte{}
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 || kind != protowire.BytesType {
			t.Fatalf("field %d of type %d", number, kind)
		}
		value, size := protowire.ConsumeBytes(b[n:])
		if size < 0 {
			t.Fatal(protowire.ParseError(size))
		}
		all[number], b = value, b[n+size:]
	}
	return all
}

func TestEventsInProtocolBuffers(t *testing.T) {
	received := fieldsOf(t, sample().Proto())
	data, info := fieldsOf(t, received[1]), fieldsOf(t, received[4])
	got := map[string]string{
		"id": string(data[1]), "type": string(received[3]), "class": string(info[1]), "accessor": string(info[2]),
		"mount": string(info[3]), "plugin": string(info[4]), "version": string(info[6]),
	}
	want := map[string]string{
		"id": "a3be9fb1-b514-519f-5b25-b6f144a8c1ce", "type": "kv-v2/data-write", "class": "secret", "accessor": "kv_5dc4d18e",
		"mount": "secret/", "plugin": "kv", "version": "2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// Another implementation has to read the metadata.
	var metadata structpb.Struct
	if err := proto.Unmarshal(data[2], &metadata); err != nil {
		t.Fatal(err)
	}
	told := map[string]any{"data_path": "secret/data/foo", "operation": "data-write", "modified": "true", "vault_index": "7"}
	if diff := cmp.Diff(told, metadata.AsMap()); diff != "" {
		t.Error(diff)
	}
}

func TestProgressIsAnEventWithoutAMount(t *testing.T) {
	m := &Message{Record: Record{Type: ProgressType}, Revision: 12, hub: NewHub(Options{})}
	var e cloudEvent
	if err := json.Unmarshal(m.JSON(), &e); err != nil {
		t.Fatal(err)
	}
	if e.Data.PluginInfo != nil || e.Data.Event.Metadata["vault_index"] != "12" {
		t.Errorf("%s", m.JSON())
	}
}
