package kv

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// The answers of version 2, as Vault's API documentation has them.

type settingsAnswer struct {
	CASRequired bool   `json:"cas_required"`
	DeleteAfter string `json:"delete_version_after"`
	MaxVersions int    `json:"max_versions"`
}

type versionAnswer struct {
	Created   string            `json:"created_time"`
	Custom    map[string]string `json:"custom_metadata"` // null if there is none
	Deletion  string            `json:"deletion_time"`
	Destroyed bool              `json:"destroyed"`
	Version   int               `json:"version"`
}

type dataAnswer struct {
	Data     json.RawMessage `json:"data"` // null if the version is gone
	Metadata versionAnswer   `json:"metadata"`
}

// AppendJSON implements [logical.Appender]: reading a secret is what is done
// most.
func (a *dataAnswer) AppendJSON(dst []byte) []byte {
	dst = slices.Grow(dst, len(a.Data)+256)
	dst = append(dst, `{"data":`...)
	if a.Data == nil {
		dst = append(dst, "null"...)
	}
	dst = append(dst, a.Data...)
	dst = append(dst, `,"metadata":{"created_time":"`...)
	dst = append(dst, a.Metadata.Created...)
	dst = append(dst, `","custom_metadata":`...)
	dst = appendTexts(dst, a.Metadata.Custom)
	dst = append(dst, `,"deletion_time":"`...)
	dst = append(dst, a.Metadata.Deletion...)
	dst = append(dst, `","destroyed":`...)
	dst = strconv.AppendBool(dst, a.Metadata.Destroyed)
	dst = append(dst, `,"version":`...)
	dst = strconv.AppendInt(dst, int64(a.Metadata.Version), 10)
	return append(dst, "}}"...)
}

func appendTexts(dst []byte, texts map[string]string) []byte {
	if texts == nil {
		return append(dst, "null"...)
	}
	object, _ := json.Marshal(texts) // texts always marshal
	return append(dst, object...)
}

type subkeysAnswer struct {
	Metadata versionAnswer `json:"metadata"`
	Subkeys  any           `json:"subkeys"` // null if the version is gone
}

type metadataAnswer struct {
	settingsAnswer
	Created  string                 `json:"created_time"`
	Current  int                    `json:"current_version"`
	Custom   map[string]string      `json:"custom_metadata"`
	Oldest   int                    `json:"oldest_version"`
	Updated  string                 `json:"updated_time"`
	Versions map[string]timesAnswer `json:"versions"`
}

type timesAnswer struct {
	Created   string `json:"created_time"`
	Deletion  string `json:"deletion_time"`
	Destroyed bool   `json:"destroyed"`
}

func (s settings) answer() settingsAnswer {
	return settingsAnswer{CASRequired: s.CASRequired, DeleteAfter: s.DeleteAfter.String(), MaxVersions: s.MaxVersions}
}

// versionAnswer describes version n, which is v.
func (s *secret) versionAnswer(n int, v *version) versionAnswer {
	return versionAnswer{
		Created: timeText(v.Created), Custom: s.Custom, Deletion: timeText(v.Deleted), Destroyed: v.Destroyed, Version: n,
	}
}

func (s *secret) metadataAnswer() metadataAnswer {
	a := metadataAnswer{
		settingsAnswer: s.answer(),
		Created:        timeText(s.Created), Current: s.Current, Custom: s.Custom, Oldest: s.oldestShown(),
		Updated: timeText(s.Updated), Versions: make(map[string]timesAnswer, len(s.Versions)),
	}
	for i := range s.Versions {
		v := &s.Versions[i]
		a.Versions[strconv.Itoa(s.oldest()+i)] = timesAnswer{
			Created: timeText(v.Created), Deletion: timeText(v.Deleted), Destroyed: v.Destroyed,
		}
	}
	return a
}

// timeText writes Unix nanoseconds as RFC 3339, and zero as nothing.
func timeText(nanos int64) string {
	if nanos == 0 {
		return ""
	}
	return time.Unix(0, nanos).UTC().Format(time.RFC3339Nano)
}
