package core

import (
	"context"
	"errors"
	"net/textproto"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/internal/audit"
	"github.com/cofferhq/coffer/internal/storage"
)

// surface is what the operator has set about requests as they come over the
// wire. It is immutable.
type surface struct {
	headers []auditedHeader // by name
	cors    corsRecord
}

// auditedHeader is a header of requests that is put on record.
type auditedHeader struct {
	Hash bool   `json:"hash,omitempty"`
	name string // in lower case
	key  string // as Call.Header has it
}

// corsRecord is which web pages of other origins may use the server. The zero
// value is none.
type corsRecord struct {
	Origins []string `json:"origins"`           // "*": any
	Headers []string `json:"headers,omitempty"` // that they may send, beside the usual ones
}

var (
	headerForm = storage.Form[auditedHeader]{Name: "audited header record", Version: 1}
	corsForm   = storage.Form[corsRecord]{Name: "CORS record", Version: 1}
)

func headerTable() string {
	return configuration() + storage.Plain(RootNamespace) + storage.Plain("header")
}

func corsKey() string {
	return configuration() + storage.Plain(RootNamespace) + storage.Plain("cors")
}

// secretHeaders hold tokens, or what is as good: whatever the operator says, they
// are on record as hashes only.
var secretHeaders = []string{"x-vault-token", "authorization", "proxy-authorization", "cookie"}

func (c *Core) loadSurface(ctx context.Context) (*surface, error) {
	s := &surface{}
	err := storage.View(ctx, c.barrier, func(tx *storage.Tx) (err error) {
		if s.cors, err = readCORS(ctx, tx); err != nil {
			return err
		}
		s.headers, err = readHeaders(ctx, tx)
		return err
	})
	return s, err
}

func readCORS(ctx context.Context, tx *storage.Tx) (corsRecord, error) {
	row, err := tx.Get(ctx, corsKey())
	if errors.Is(err, storage.ErrNotFound) {
		return corsRecord{}, nil
	}
	if err != nil {
		return corsRecord{}, err
	}
	var r corsRecord
	if err := corsForm.Decode(row.Value, &r); err != nil {
		return corsRecord{}, err
	}
	return r, nil
}

func readHeaders(ctx context.Context, tx *storage.Tx) ([]auditedHeader, error) {
	var all []auditedHeader
	table := headerTable()
	for row, err := range tx.Scan(ctx, table, "") {
		if err != nil {
			return nil, err
		}
		name, _, err := storage.Cut(row.Key[len(table):])
		if err != nil {
			return nil, err
		}
		h := auditedHeader{name: name.Text(), key: textproto.CanonicalMIMEHeaderKey(name.Text())}
		if err := headerForm.Decode(row.Value, &h); err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b auditedHeader) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// of returns what of a call's headers is put on record.
func (s *surface) of(call *Call) []audit.Header {
	var on []audit.Header
	for _, h := range s.headers {
		if values := call.Header[h.key]; len(values) > 0 {
			on = append(on, audit.Header{
				Name: h.name, Values: values, Hash: h.Hash || slices.Contains(secretHeaders, h.name),
			})
		}
	}
	return on
}

// AuditedHeaders returns the headers that are put on record, in lower case, and
// whether as hashes.
func (c *Core) AuditedHeaders() map[string]bool {
	all := map[string]bool{}
	if l := c.live.Load(); l != nil {
		for _, h := range l.surface.headers {
			all[h.name] = h.Hash
		}
	}
	return all
}

// AuditHeader has a header put on record, from its return on.
func (c *Core) AuditHeader(ctx context.Context, name string, hash bool) error {
	value, err := headerForm.Encode(&auditedHeader{Hash: hash})
	if err != nil {
		return err
	}
	return c.change(ctx, storage.Put(headerTable()+storage.Name(strings.ToLower(name)), value))
}

// IgnoreHeader keeps a header off the record. An unknown one is no error.
func (c *Core) IgnoreHeader(ctx context.Context, name string) error {
	return c.change(ctx, storage.Delete(headerTable()+storage.Name(strings.ToLower(name))))
}

// CORS returns the origins whose pages may use the server, and what headers they
// may send beside the usual ones. No origins: none may. The caller must not
// change either.
func (c *Core) CORS() (origins, headers []string) {
	if l := c.live.Load(); l != nil {
		return l.surface.cors.Origins, l.surface.cors.Headers
	}
	return nil, nil
}

// SetCORS says which origins' pages may use the server, from its return on. No
// origins: none may.
func (c *Core) SetCORS(ctx context.Context, origins, headers []string) error {
	if len(origins) == 0 {
		return c.change(ctx, storage.Delete(corsKey()))
	}
	value, err := corsForm.Encode(&corsRecord{Origins: origins, Headers: headers})
	if err != nil {
		return err
	}
	return c.change(ctx, storage.Put(corsKey(), value))
}

// change commits one operation on the configuration and returns when it is in
// force.
func (c *Core) change(ctx context.Context, op storage.Op) error {
	rev, err := c.barrier.Apply(ctx, nil, []storage.Op{op})
	if err != nil {
		return err
	}
	return c.await(ctx, rev)
}
