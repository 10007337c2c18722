package event

import (
	"encoding/json"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/cofferhq/coffer/internal/storage"
)

// Message is an event on its way to subscribers, who share it. It is made once
// and is immutable.
type Message struct {
	Record
	Revision storage.Revision // of the commit that it is part of; zero: progress

	hub *Hub

	asJSON  once
	asProto once
}

// once is a text that is made when it is asked for the first time.
type once struct {
	sync.Once
	text []byte
}

func (o *once) get(m *Message, encode func(m *Message) []byte) []byte {
	o.Do(func() { o.text = encode(m) })
	return o.text
}

// JSON returns the event as Vault tells it in JSON. The caller must not change it.
func (m *Message) JSON() []byte { return m.asJSON.get(m, encodeJSON) }

// Proto returns the event as Vault tells it by default, in protocol buffers. The
// caller must not change it.
func (m *Message) Proto() []byte { return m.asProto.get(m, encodeProto) }

// ProgressType is the type of messages that tell how far the stream has come.
const ProgressType = "coffer/progress"

// cloudEvent is Vault's form of an event: CloudEvents 1.0 in JSON, with its name
// for the content type as Vault spells it, and as the specification does.
type cloudEvent struct {
	ID          string     `json:"id"`
	Source      string     `json:"source"`
	SpecVersion string     `json:"specversion"`
	Type        string     `json:"type"`
	Data        eventInner `json:"data"`
	Spelled     string     `json:"datacontentype"`
	ContentType string     `json:"datacontenttype"`
	Time        string     `json:"time"`
}

type eventInner struct {
	Event struct {
		ID       string            `json:"id"`
		Metadata map[string]string `json:"metadata"`
	} `json:"event"`
	EventType  string      `json:"event_type"`
	Namespace  string      `json:"namespace,omitempty"`
	PluginInfo *pluginInfo `json:"plugin_info,omitempty"`
}

type pluginInfo struct {
	MountClass    string `json:"mount_class"`
	MountAccessor string `json:"mount_accessor"`
	MountPath     string `json:"mount_path"`
	Plugin        string `json:"plugin"`
	Version       string `json:"version,omitempty"`
}

func encodeJSON(m *Message) []byte {
	e := cloudEvent{
		ID: m.ID, Source: m.hub.Source, SpecVersion: "1.0", Type: "*", Time: m.Time.Format(time.RFC3339Nano),
		Spelled: "application/cloudevents", ContentType: "application/json",
	}
	e.Data.Event.ID, e.Data.Event.Metadata = m.ID, m.told()
	e.Data.EventType, e.Data.Namespace = m.Type, m.hub.namespace(m.Namespace)
	if m.MountPath != "" {
		e.Data.PluginInfo = &pluginInfo{
			MountClass: m.class(), MountAccessor: m.Accessor, MountPath: m.MountPath, Plugin: m.MountType, Version: m.Version,
		}
	}
	text, err := json.Marshal(e)
	if err != nil {
		panic("event: internal error: texts always marshal")
	}
	return text
}

// encodeProto writes the message EventReceived of Vault's published schema
// (sdk/logical/event.proto).
func encodeProto(m *Message) []byte {
	data := appendText(nil, 1, m.ID)
	data = appendBytes(data, 2, protoStruct(m.told()))
	out := appendBytes(nil, 1, data)
	out = appendText(out, 2, m.hub.namespace(m.Namespace))
	out = appendText(out, 3, m.Type)
	if m.MountPath == "" {
		return out
	}
	info := appendText(nil, 1, m.class())
	info = appendText(info, 2, m.Accessor)
	info = appendText(info, 3, m.MountPath)
	info = appendText(info, 4, m.MountType)
	info = appendText(info, 6, m.Version)
	return appendBytes(out, 4, info)
}

// protoStruct writes texts as a google.protobuf.Struct.
func protoStruct(fields map[string]string) []byte {
	var out []byte
	for _, name := range sortedKeys(fields) {
		value := appendBytes(nil, 3, []byte(fields[name])) // Value.string_value, also if empty
		entry := appendText(nil, 1, name)
		entry = appendBytes(entry, 2, value)
		out = appendBytes(out, 1, entry)
	}
	return out
}

// appendText appends a field with a text, which is left out if it is empty.
func appendText(dst []byte, field protowire.Number, text string) []byte {
	if text == "" {
		return dst
	}
	dst = protowire.AppendTag(dst, field, protowire.BytesType)
	return protowire.AppendString(dst, text)
}

func appendBytes(dst []byte, field protowire.Number, b []byte) []byte {
	dst = protowire.AppendTag(dst, field, protowire.BytesType)
	return protowire.AppendBytes(dst, b)
}
