package audit

import (
	"context"
	"sync"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

// entryType is the "type" of a line.
type entryType string

const (
	typeRequest  entryType = "request"
	typeResponse entryType = "response"
)

// format is how a device writes its lines.
type format struct {
	options
	hashers *hashers
}

func newFormat(o options, salt secret.Bytes) format {
	return format{options: o, hashers: newHashers(salt)}
}

// maxKeptBytes is the size beyond which a buffer is not kept for the next line.
const maxKeptBytes = 64 << 10

var lines = sync.Pool{New: func() any { return &line{buf: make([]byte, 0, 4<<10)} }}

// log writes one line to the device.
func (d *Device) log(ctx context.Context, e *Entry, typ entryType) error {
	l := lines.Get().(*line)
	l.buf, l.format, l.hasher = l.buf[:0], &d.format, d.format.hashers.take()
	defer func() {
		d.format.hashers.put(l.hasher)
		if cap(l.buf) <= maxKeptBytes {
			lines.Put(l)
		}
	}()
	if err := l.entry(e, typ); err != nil {
		return err
	}
	return d.sink.Write(ctx, l.buf, d.format.sync.durability(e.Request.Op))
}

// entry writes the whole line.
func (l *line) entry(e *Entry, typ entryType) error {
	l.buf = append(l.buf, l.format.prefix...)
	l.open()
	l.time("time", e.Time)
	l.text("type", string(typ))
	if e.Auth != nil {
		l.key("auth")
		l.auth(e.Auth)
	}
	l.key("request")
	if err := l.request(e); err != nil {
		return err
	}
	if typ == typeResponse && e.Response != nil {
		l.key("response")
		if err := l.response(e); err != nil {
			return err
		}
	}
	l.text("error", e.Error)
	l.close()
	l.buf = append(l.buf, '\n')
	return nil
}

func (l *line) auth(a *Auth) {
	l.open()
	l.hashed("client_token", a.ClientToken)
	l.accessor("accessor", a.Accessor)
	l.text("display_name", a.DisplayName)
	l.texts("policies", a.Policies)
	l.texts("token_policies", a.TokenPolicies)
	l.texts("identity_policies", a.IdentityPolicies)
	if a.Results != nil {
		l.key("policy_results")
		l.policyResults(a.Results)
	}
	l.textMap("metadata", a.Metadata)
	l.number("num_uses", int64(a.NumUses))
	l.text("entity_id", a.EntityID)
	l.text("token_type", string(a.TokenType))
	l.seconds("token_ttl", a.TokenTTL)
	if !a.TokenIssueTime.IsZero() {
		l.time("token_issue_time", a.TokenIssueTime)
	}
	l.close()
}

func (l *line) policyResults(r *PolicyResults) {
	l.open()
	l.boolean("allowed", r.Allowed)
	if len(r.Granting) > 0 {
		l.key("granting_policies")
		l.buf = append(l.buf, '[')
		for i, name := range r.Granting {
			if i > 0 {
				l.buf = append(l.buf, ',')
			}
			l.open()
			l.text("name", name)
			l.text("namespace_id", "root") // where all policies are
			l.text("type", "acl")
			l.close()
		}
		l.buf = append(l.buf, ']')
	}
	l.close()
}

func (l *line) request(e *Entry) error {
	r := &e.Request
	l.open()
	l.text("id", r.ID)
	l.text("client_id", r.ClientID)
	l.text("operation", r.Op.String())
	l.mount(&r.Mount)
	l.hashed("client_token", r.ClientToken)
	l.accessor("client_token_accessor", r.TokenAccessor)
	l.key("namespace")
	l.open()
	l.text("id", r.Namespace.ID)
	l.text("path", r.Namespace.Path)
	l.close()
	l.text("path", r.Path)
	if err := l.data(r.Data, data{plain: e.PlainRequestKeys}); err != nil {
		return err
	}
	if r.Remote.IsValid() {
		l.key("remote_address")
		l.buf = append(l.buf, '"')
		l.buf = r.Remote.Addr().AppendTo(l.buf)
		l.buf = append(l.buf, '"')
		l.number("remote_port", int64(r.Remote.Port()))
	}
	l.headers(r.Headers)
	l.seconds("wrap_ttl", r.WrapTTL)
	l.close()
	return nil
}

func (l *line) mount(m *Mount) {
	l.text("mount_point", m.Point)
	l.text("mount_type", m.Type)
	l.text("mount_accessor", m.Accessor)
	l.text("mount_class", m.Class)
}

func (l *line) headers(headers []Header) {
	if len(headers) == 0 {
		return
	}
	l.key("headers")
	l.open()
	for _, h := range headers {
		l.nameKey(h.Name)
		l.buf = append(l.buf, '[')
		for i, value := range h.Values {
			if i > 0 {
				l.buf = append(l.buf, ',')
			}
			l.value(value, h.Hash)
		}
		l.buf = append(l.buf, ']')
	}
	l.close()
}

func (l *line) response(e *Entry) error {
	r := e.Response
	l.open()
	if r.Auth != nil {
		l.key("auth")
		l.auth(r.Auth)
	}
	l.mount(&e.Request.Mount)
	elide := l.format.elideLists && e.Request.Op == logical.List
	if err := l.data(r.Data, data{plain: e.PlainResponseKeys, elide: elide}); err != nil {
		return err
	}
	if r.LeaseID != "" {
		l.key("secret")
		l.open()
		l.text("lease_id", r.LeaseID)
		l.close()
	}
	if r.Wrap != nil {
		l.key("wrap_info")
		l.wrap(r.Wrap)
	}
	l.texts("warnings", r.Warnings)
	l.text("redirect", r.Redirect)
	if r.NotModified {
		l.boolean("not_modified", true)
	}
	l.close()
	return nil
}

func (l *line) wrap(w *Wrap) {
	l.open()
	l.seconds("ttl", w.TTL)
	l.hashed("token", w.Token)
	l.accessor("accessor", w.Accessor)
	l.accessor("wrapped_accessor", w.WrappedAccessor)
	l.time("creation_time", w.CreationTime)
	l.text("creation_path", w.CreationPath)
	l.close()
}
