package secrets

import (
	"crypto/tls"
	"encoding"
	"errors"
	"net/url"
	"reflect"
	"strconv"
	"time"
)

// parser makes a field's value of a text. Its errors have no cause: that of the
// standard library would quote the text.
type parser = func(text string, version int) (reflect.Value, error)

// exact are parsers of types that are told by more than their kind.
var exact = map[reflect.Type]parser{
	reflect.TypeFor[Value](): func(text string, version int) (reflect.Value, error) {
		return reflect.ValueOf(Value{text: hide(text), version: version}), nil
	},
	reflect.TypeFor[time.Duration]():   of(time.ParseDuration, "it is no duration, such as 90s or 1h30m"),
	reflect.TypeFor[url.URL]():         of(parseURL, "it is no URL"),
	reflect.TypeFor[*url.URL]():        of(url.Parse, "it is no URL"),
	reflect.TypeFor[tls.Certificate](): of(parseCertificate, "it is no certificate with its key, in PEM"),
	reflect.TypeFor[[]byte]():          of(func(text string) ([]byte, error) { return []byte(text), nil }, ""),
}

// of makes a parser that says what is wrong in one sentence.
func of[T any](parse func(string) (T, error), wrong string) parser {
	return func(text string, _ int) (reflect.Value, error) {
		v, err := parse(text)
		if err != nil {
			return reflect.Value{}, errors.New(wrong)
		}
		return reflect.ValueOf(v), nil
	}
}

func parseURL(text string) (url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return url.URL{}, err
	}
	return *u, nil
}

func parseCertificate(text string) (tls.Certificate, error) {
	return tls.X509KeyPair([]byte(text), []byte(text))
}

// parserOf returns the parser of a type; nil if there is none.
func parserOf(t reflect.Type) parser {
	if p := exact[t]; p != nil {
		return p
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return unmarshaler(t)
	}
	switch t.Kind() {
	case reflect.String:
		return func(text string, _ int) (reflect.Value, error) { return reflect.ValueOf(text).Convert(t), nil }
	case reflect.Bool:
		return converted(t, of(strconv.ParseBool, "it is neither true nor false"))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return converted(t, of(func(s string) (int64, error) { return strconv.ParseInt(s, 10, t.Bits()) }, "it is no whole number that fits "+t.String()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return converted(t, of(func(s string) (uint64, error) { return strconv.ParseUint(s, 10, t.Bits()) }, "it is no whole number that fits "+t.String()))
	case reflect.Float32, reflect.Float64:
		return converted(t, of(func(s string) (float64, error) { return strconv.ParseFloat(s, t.Bits()) }, "it is no number that fits "+t.String()))
	}
	return nil
}

// converted is a parser of a type by one of the type below it.
func converted(t reflect.Type, p parser) parser {
	return func(text string, version int) (reflect.Value, error) {
		v, err := p(text, version)
		if err != nil {
			return v, err
		}
		return v.Convert(t), nil
	}
}

func unmarshaler(t reflect.Type) parser {
	return func(text string, _ int) (reflect.Value, error) {
		v := reflect.New(t)
		if v.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)) != nil {
			return reflect.Value{}, errors.New("its type " + t.String() + " does not take it")
		}
		return v.Elem(), nil
	}
}
