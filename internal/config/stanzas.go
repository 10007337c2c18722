package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/internal/stanza"
)

// loading is a configuration that is being read.
type loading struct {
	Config
	set map[string]place // where the fields that checks talk about were set
}

// place is a line of a file.
type place struct {
	file string
	line int
}

// note remembers where a field was set.
func (l *loading) note(s scope, field string, line int) { l.set[field] = place{s.file, line} }

// storageKeys are what each kind of storage takes.
var storageKeys = map[StorageKind]keys[Storage]{
	Inmem: {},
	Pebble: {
		"path":       text(func(s *Storage) *string { return &s.Path }),
		"cache_size": size(func(s *Storage) *int64 { return &s.CacheBytes }),
	},
}

func setStorage(s scope, l *loading, e stanza.Entry) error {
	st, err := only(l, s, "storage", e)
	if err != nil {
		return err
	}
	kind := StorageKind(st.label)
	k, known := storageKeys[kind]
	if !known {
		return complaint{
			text: fmt.Sprintf(`there is no storage %q: it is "inmem" or "pebble"`, st.label),
			hint: storageHint(st.label),
		}
	}
	l.Storage = Storage{Kind: kind}
	at := st.scope(s, e.Key)
	k.decode(at, &l.Storage, st.body.Entries)
	if kind == Pebble && l.Storage.Path == "" {
		at.problem(st.line, "path", errors.New("the folder of the data must be given"))
	}
	if l.Storage.CacheBytes < 0 {
		at.problem(st.line, "cache_size", errors.New("a size cannot be negative"))
	}
	return nil
}

// storageHint says what to write instead of a storage of Vault's.
func storageHint(kind string) string {
	switch kind {
	case "raft", "file":
		return fmt.Sprintf(`storage "pebble" { path = "…" } keeps data in a folder too; it cannot read a folder of %q, so give it another`, kind)
	}
	return `storage "pebble" { path = "/var/lib/coffer" } keeps data in a folder`
}

// only returns the one stanza of e, and refuses a second of the same field in
// one file; another file may replace it.
func only(l *loading, s scope, field string, e stanza.Entry) (labelled, error) {
	all, err := value(e.Value).stanzas()
	if err != nil {
		return labelled{}, err
	}
	if len(all) == 0 {
		return labelled{}, errors.New("expected a block with a label")
	}
	before, set := l.set[field]
	if len(all) > 1 || set && before.file == s.file {
		return labelled{}, errors.New("there can be only one")
	}
	l.note(s, field, e.Line)
	return all[0], nil
}

// sealKeys are what each kind of seal takes.
var sealKeys = map[string]keys[Seal]{
	"shamir": {},
	string(KeyFile): {
		"path":     text(func(s *Seal) *string { return &s.Path }),
		"disabled": refused[Seal]("a seal cannot be migrated by configuration"),
	},
}

func setSeal(s scope, l *loading, e stanza.Entry) error {
	st, err := only(l, s, "seal", e)
	if err != nil {
		return err
	}
	k, known := sealKeys[st.label]
	if !known {
		return complaint{
			text: fmt.Sprintf(`there is no seal %q: it is "keyfile" or "shamir"`, st.label),
			hint: `seal "keyfile" { path = "/etc/coffer/unseal.key" } lets the server unseal itself`,
		}
	}
	l.Seal = Seal{}
	if st.label == string(KeyFile) {
		l.Seal.Kind = KeyFile
	}
	at := st.scope(s, e.Key)
	k.decode(at, &l.Seal, st.body.Entries)
	if l.Seal.Kind == KeyFile && l.Seal.Path == "" {
		at.problem(st.line, "path", errors.New("the file of the key must be given"))
	}
	return nil
}

// auditKeys are what a declared audit device takes.
var auditKeys = keys[Audit]{
	"description": text(func(a *Audit) *string { return &a.Description }),
	"options":     as(value.textMap, func(a *Audit) *map[string]string { return &a.Options }),
	"local":       accepted[Audit], // there is nowhere else it could be
}

func addAudits(s scope, l *loading, e stanza.Entry) error {
	types, err := value(e.Value).stanzas()
	if err != nil {
		return err
	}
	for _, t := range types {
		at := t.scope(s, e.Key)
		named, err := t.body.stanzas()
		if err != nil || len(named) == 0 {
			at.problem(t.line, "", complaint{
				text: "the device needs a name",
				hint: fmt.Sprintf("such as: audit %q \"main\" { options { … } }", t.label),
			})
			continue
		}
		for _, n := range named {
			l.addAudit(at, t.label, n)
		}
	}
	return nil
}

func (l *loading) addAudit(s scope, kind string, st labelled) {
	a := Audit{Type: kind, Path: strings.Trim(st.label, "/"), Options: map[string]string{}}
	at := scope{s.report, fmt.Sprintf("%s %q", s.name, st.label)}
	auditKeys.decode(at, &a, st.body.Entries)
	twice := slices.ContainsFunc(l.Audits, func(b Audit) bool { return b.Path == a.Path })
	switch {
	case a.Path == "":
		at.problem(st.line, "", errors.New("the device needs a name"))
	case twice:
		at.problem(st.line, "", errors.New("another audit device has this name"))
	default:
		l.Audits = append(l.Audits, a)
	}
}
