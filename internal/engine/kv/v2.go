package kv

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// v2 is a mount of version 2.
type v2 struct {
	lists

	// rows are of secrets; never of those that version 1 wrote, which hold the
	// value itself.
	rows *storage.Memo[*secret]
}

// maxRowBytes bounds the rows that are remembered: those of some 50,000 secrets.
const maxRowBytes = 8 << 20

func newV2() v2 {
	return v2{lists: newLists(), rows: storage.NewMemo(maxRowBytes, func(s *secret) bool { return s.Data == nil })}
}

// peek reads the secret at path, which the caller may not change, or returns
// logical.ErrNotFound. The commit does not depend on it.
func (v v2) peek(ctx context.Context, p storage.Part, path string) (*secret, error) {
	s, _, err := v.rows.Peek(ctx, p, secretKey(path), func(e storage.Entry) (*secret, error) { return parseSecret(e, nil) })
	if errors.Is(err, storage.ErrNotFound) {
		return nil, logical.ErrNotFound
	}
	return s, err
}

var (
	readFields = logical.Fields{
		"version": {Type: logical.Int, Help: "Version to read; 0 is the newest."},
	}
	subkeysFields = logical.Fields{
		"version": {Type: logical.Int, Help: "Version to read; 0 is the newest."},
		"depth":   {Type: logical.Int, Help: "Deepest level of keys to show; 0 is all."},
	}
	writeFields = logical.Fields{
		"data":    {Type: logical.Object, Help: "Keys and values of the secret."},
		"options": {Type: logical.Object, Help: "Options: cas is the version that must be the newest, 0 if there must be none."},
	}
	versionsFields = logical.Fields{
		"versions": {Type: logical.Ints, Help: "Numbers of versions."},
	}
	configFields = logical.Fields{
		maxVersionsField: {Type: logical.Int, Help: "Versions to keep of each secret; 0 is 10."},
		casRequiredField: {Type: logical.Bool, Help: "Whether each write must bring cas."},
		deleteAfterField: {Type: logical.Text, Help: "Age at which versions count as deleted, such as 3h25m19s; 0s is never."},
	}
	metadataFields = logical.Fields{
		maxVersionsField:    {Type: logical.Int, Help: "Versions to keep; 0 is as many as the engine says."},
		casRequiredField:    {Type: logical.Bool, Help: "Whether each write must bring cas."},
		deleteAfterField:    {Type: logical.Text, Help: "Age at which new versions count as deleted, at most the engine's; negative is never."},
		customMetadataField: {Type: logical.TextMap, Help: "Texts that describe the secret."},
	}
	metadataPatchFields = logical.Fields{
		maxVersionsField:    metadataFields[maxVersionsField],
		casRequiredField:    metadataFields[casRequiredField],
		deleteAfterField:    metadataFields[deleteAfterField],
		customMetadataField: {Type: logical.Object, Help: "Texts that describe the secret; null removes one."},
	}
)

var routes2 = logical.Routes[v2]{
	{Op: logical.Read, Path: "config", Do: v2.readConfig, Help: "Read the settings that hold for all secrets."},
	{Op: logical.Write, Path: "config", Do: v2.writeConfig, Fields: configFields, Help: "Change the settings that hold for all secrets."},

	{Op: logical.Read, Path: "data/{path...}", Do: v2.read, Fields: readFields, Help: "Read one version of a secret."},
	{Op: logical.Write, Path: "data/{path...}", Do: v2.write, Exists: v2.exists, Fields: writeFields, Help: "Write a new version of a secret."},
	{Op: logical.Patch, Path: "data/{path...}", Do: v2.patch, Fields: writeFields, Help: "Write a new version that differs from the newest by a JSON merge patch."},
	{Op: logical.Delete, Path: "data/{path...}", Do: v2.deleteNewest, Help: "Delete the newest version; it can be undeleted."},

	{Op: logical.Write, Path: "delete/{path...}", Do: v2.deleteVersions, Fields: versionsFields, Help: "Delete versions; they can be undeleted."},
	{Op: logical.Write, Path: "undelete/{path...}", Do: v2.undeleteVersions, Fields: versionsFields, Help: "Bring deleted versions back."},
	{Op: logical.Write, Path: "destroy/{path...}", Do: v2.destroyVersions, Fields: versionsFields, Help: "Destroy versions for ever."},

	{Op: logical.List, Path: "metadata", Do: v2.list, Help: "List the secrets of the mount."},
	{Op: logical.List, Path: "metadata/{path...}", Do: v2.list, Help: "List the secrets of a folder."},
	{Op: logical.Read, Path: "metadata/{path...}", Do: v2.readMetadata, Help: "Read the settings and the history of a secret."},
	{Op: logical.Write, Path: "metadata/{path...}", Do: v2.writeMetadata, Exists: v2.exists, Fields: metadataFields, Help: "Change the settings of a secret."},
	{Op: logical.Patch, Path: "metadata/{path...}", Do: v2.patchMetadata, Fields: metadataPatchFields, Help: "Change the settings of a secret; null resets."},
	{Op: logical.Delete, Path: "metadata/{path...}", Do: v2.deleteMetadata, Help: "Delete a secret with all its versions, for ever."},

	{Op: logical.Read, Path: "subkeys/{path...}", Do: v2.subkeys, Fields: subkeysFields, Help: "Read the keys of a secret without the values."},
}

func (v2) exists(ctx context.Context, r *logical.Request) (bool, error) { return exists(ctx, r) }

// event is something that happened to a secret, or to the mount.
type event struct {
	op       string // as Vault names it: "data-write"
	path     string // of the API: "data/db"
	dataPath string // where the effect can be read; empty: nowhere
	secret   *secret
	written  json.RawMessage
}

// emit adds e to the request's commit, with the attributes that Vault's
// documentation of event notifications lists.
func emit(r *logical.Request, e event) {
	attributes := map[string]string{
		"path": r.Mount.Path + e.path, "operation": e.op, "modified": "true",
	}
	if e.dataPath != "" {
		attributes["data_path"] = r.Mount.Path + e.dataPath
	}
	if e.secret != nil {
		attributes["current_version"] = strconv.Itoa(e.secret.Current)
		attributes["oldest_version"] = strconv.Itoa(e.secret.oldestShown())
	}
	r.Emit(logical.Event{Type: "kv-v2/" + e.op, Path: e.path, Metadata: attributes, Secret: e.written})
}
