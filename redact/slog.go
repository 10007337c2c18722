package redact

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
)

// Handler returns a handler that removes values from records before next gets
// them: from the message, and from keys and values of attributes, also within
// groups. An attribute that is not a text is passed on as it is unless its text
// holds a value; then the text without it is passed on.
//
// Attributes given by [slog.Logger.With] are cleaned at that moment: a value that
// becomes known later is not removed from them. Where the log goes to an
// io.Writer, a [Redactor.Writer] in front of that is simpler and sees all.
func (r *Redactor) Handler(next slog.Handler) slog.Handler { return &handler{r, next} }

type handler struct {
	redactor *Redactor
	next     slog.Handler
}

var _ slog.Handler = (*handler)(nil)

// Enabled implements [slog.Handler].
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (h *handler) Handle(ctx context.Context, record slog.Record) error {
	clean := slog.NewRecord(record.Time, record.Level, h.redactor.String(record.Message), record.PC)
	record.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.redactor.attr(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

// WithAttrs implements [slog.Handler].
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.redactor, h.next.WithAttrs(h.redactor.attrs(attrs))}
}

// WithGroup implements [slog.Handler].
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.redactor, h.next.WithGroup(h.redactor.String(name))}
}

func (r *Redactor) attrs(attrs []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = r.attr(a)
	}
	return clean
}

func (r *Redactor) attr(a slog.Attr) slog.Attr {
	return slog.Attr{Key: r.String(a.Key), Value: r.value(a.Value.Resolve())}
}

func (r *Redactor) value(v slog.Value) slog.Value {
	switch v.Kind() {
	case slog.KindString:
		return slog.StringValue(r.String(v.String()))
	case slog.KindGroup:
		return slog.GroupValue(r.attrs(v.Group())...)
	case slog.KindBool, slog.KindDuration, slog.KindTime:
		return v
	case slog.KindAny:
		return r.any(v)
	}
	if text := v.String(); r.Contains([]byte(text)) { // a number
		return slog.StringValue(r.String(text))
	}
	return v
}

// any cleans what handlers print with fmt or marshal.
func (r *Redactor) any(v slog.Value) slog.Value {
	if b, ok := v.Any().([]byte); ok { // fmt would print numbers
		if r.Contains(b) {
			return slog.StringValue(string(r.Bytes(b)))
		}
		return v
	}
	text := fmt.Sprintf("%+v", v.Any())
	if clean := r.String(text); clean != text {
		return slog.StringValue(clean)
	}
	if marshalled, err := json.Marshal(v.Any()); err == nil && r.Contains(marshalled) {
		return slog.StringValue(string(r.Bytes(marshalled)))
	}
	return v
}
