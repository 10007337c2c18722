package kv

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cofferhq/coffer/internal/logical"
)

const customMetadataField = "custom_metadata"

// Limits of custom metadata, as Vault documents them; lengths are in bytes.
const (
	maxCustomKeys  = 64
	maxCustomKey   = 128
	maxCustomValue = 512
)

func (v v2) readMetadata(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	path, err := secretPath(r)
	if err != nil {
		return nil, err
	}
	s, err := v.peek(ctx, r.Part, path)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: s.metadataAnswer()}, nil
}

// writeMetadata also makes a secret that has no version yet.
func (v2) writeMetadata(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	path, err := secretPath(r)
	if err != nil {
		return nil, err
	}
	s, err := get(ctx, r.Part, path)
	if absent(err) {
		s, err = newSecret(r.Now), nil
	}
	if err != nil {
		return nil, err
	}
	if r.Has(customMetadataField) {
		s.Custom = r.TextMap(customMetadataField)
	}
	return saveMetadata(ctx, r, s, "metadata-write", path)
}

func (v2) patchMetadata(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	path, err := secretPath(r)
	if err != nil {
		return nil, err
	}
	s, err := get(ctx, r.Part, path)
	if err != nil {
		return nil, err
	}
	if err := s.patchSettings(r); err != nil {
		return nil, err
	}
	return saveMetadata(ctx, r, s, "metadata-patch", path)
}

func saveMetadata(ctx context.Context, r *logical.Request, s *secret, op, path string) (*logical.Response, error) {
	if err := s.accept(r); err != nil {
		return nil, err
	}
	if err := checkCustom(s.Custom); err != nil {
		return nil, err
	}
	if err := s.save(r.Part, path, r.Now); err != nil {
		return nil, err
	}
	emit(r, event{op: op, path: "metadata/" + path, dataPath: "metadata/" + path, secret: s})
	return nil, nil
}

// patchSettings resets what r's body has a null for, and merges the custom
// metadata. Typed fields cannot tell null from absent, so it reads the body.
func (s *secret) patchSettings(r *logical.Request) error {
	var body map[string]json.RawMessage
	if len(r.Body) > 0 {
		if err := json.Unmarshal(r.Body, &body); err != nil {
			return logical.Invalid("failed to parse JSON input: the body is not an object")
		}
	}
	null := func(name string) bool { return string(body[name]) == "null" }
	if null(maxVersionsField) {
		s.MaxVersions = 0
	}
	if null(casRequiredField) {
		s.CASRequired = false
	}
	if null(deleteAfterField) {
		s.DeleteAfter = 0
	}
	if null(customMetadataField) {
		s.Custom = nil
	}
	if r.Has(customMetadataField) {
		return s.patchCustom(r.Raw(customMetadataField))
	}
	return nil
}

func (s *secret) patchCustom(patch json.RawMessage) error {
	var texts map[string]json.RawMessage
	if err := json.Unmarshal(patch, &texts); err != nil {
		return logical.Invalid("%s is not an object", customMetadataField)
	}
	fields := make(logical.Fields, len(texts))
	custom := maps.Clone(s.Custom)
	if custom == nil {
		custom = make(map[string]string, len(texts))
	}
	for key, raw := range texts {
		if string(raw) == "null" {
			delete(custom, key)
		} else {
			fields[key] = logical.Field{Type: logical.Text}
		}
	}
	given := logical.Request{Body: patch}
	if err := given.Accept(fields, nil, nil); err != nil {
		return err
	}
	for key := range fields {
		custom[key] = given.Text(key)
	}
	s.Custom = custom
	return nil
}

func checkCustom(custom map[string]string) error {
	const prefix = customMetadataField + " validation failed: "
	if len(custom) > maxCustomKeys {
		return logical.Invalid(prefix+"at most %d keys are allowed, %d were given", maxCustomKeys, len(custom))
	}
	for key, value := range custom {
		switch {
		case key == "":
			return logical.Invalid(prefix + "a key is empty")
		case len(key) > maxCustomKey:
			return logical.Invalid(prefix+"a key has %d bytes, at most %d are allowed", len(key), maxCustomKey)
		case !printable(key):
			return logical.Invalid(prefix+"key %q contains unprintable characters", key)
		case len(value) > maxCustomValue:
			return logical.Invalid(prefix+"the value of key %q has %d bytes, at most %d are allowed", key, len(value), maxCustomValue)
		case !printable(value):
			return logical.Invalid(prefix+"the value of key %q contains unprintable characters", key)
		}
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// deleteMetadata makes an end of the secret with all its versions.
func (v2) deleteMetadata(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	path, err := secretPath(r)
	if err != nil {
		return nil, err
	}
	s, err := get(ctx, r.Part, path)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r.Part.Delete(secretKey(path))
	// A secret that version 1 wrote has no rows of versions yet.
	if len(s.Versions) > 0 && s.Data == nil {
		if err := s.discard(r, span{s.oldest(), s.Current}); err != nil {
			return nil, err
		}
	}
	emit(r, event{op: "metadata-delete", path: "metadata/" + path, secret: s})
	return nil, nil
}
