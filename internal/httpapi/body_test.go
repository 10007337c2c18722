package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cofferhq/coffer/internal/logical"
)

func TestBodiesThatCostTooMuchAreRefused(t *testing.T) {
	nested := func(depth int) string { return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth) }
	for _, tt := range []struct {
		name, body, want string // want empty: it is taken
	}{
		{"as deep as is permitted", nested(maxJSONDepth), ""},
		{"deeper", nested(maxJSONDepth + 1), "nested more than 500 deep"},
		{"so deep that it has no end", strings.Repeat(`[`, 1<<20), "nested more than 500 deep"},
		{"as many values as are permitted", `{"a":[` + strings.Repeat("1,", maxJSONValues-3) + `1]}`, ""},
		{"more values", `{"a":[` + strings.Repeat("1,", maxJSONValues) + `1]}`, "more than 100000 values"},
		{"what looks like values, in a text", `{"a":"` + strings.Repeat(`[\",{`, maxJSONValues) + `"}`, ""},
		{"a text without an end", `{"a":"` + strings.Repeat("[", 1000) + `\`, "not valid JSON"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := New(Options{})
			raw, err := h.body(httptest.NewRequest(http.MethodPut, "/v1/p", strings.NewReader(tt.body)), h.MaxBodyBytes)
			if tt.want == "" {
				if err != nil || string(raw) != tt.body {
					t.Errorf("got %d bytes, %v", len(raw), err)
				}
				return
			}
			if !errors.Is(err, logical.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// How a body comes makes no difference to what is read, and all of the room that
// it took is given back.
func TestLargeBodiesAreReadWhole(t *testing.T) {
	const limit = 1 << 20
	for _, size := range []int{0, 1, smallBytes - 1, smallBytes, smallBytes + 1, limit - 1, limit, limit + 1} {
		for _, length := range []int64{int64(size), -1} {
			h := New(Options{MaxBodyBytes: limit})
			text := bytes.Repeat([]byte("x"), size)
			r := httptest.NewRequest(http.MethodPut, "/v1/p", iotest.HalfReader(bytes.NewReader(text)))
			r.ContentLength = length
			giveBack := h.makeRoom(r)
			got, err := readBody(t.Context(), r.Body, limit)
			var tooLarge *http.MaxBytesError
			switch {
			case size > limit && !errors.As(err, &tooLarge):
				t.Errorf("%d bytes, length told %d: %v", size, length, err)
			case size <= limit && (err != nil || !bytes.Equal(got, text)):
				t.Errorf("%d bytes, length told %d: got %d, %v", size, length, len(got), err)
			case size > smallBytes && size <= limit && h.bodies.taken == 0:
				t.Errorf("%d bytes, length told %d: no room was taken", size, length)
			}
			giveBack()
			if h.bodies.taken != 0 {
				t.Errorf("%d bytes, length told %d: %d bytes of room are not given back", size, length, h.bodies.taken)
			}
		}
	}
}

func TestABodyOfAnySizeIsReadWithoutALimit(t *testing.T) {
	h := New(Options{MaxBodyBytes: -1})
	r := httptest.NewRequest(http.MethodPut, "/v1/p", strings.NewReader(`{"a":"`+strings.Repeat("x", bodyRoom)+`"}`))
	defer h.makeRoom(r)()
	if _, err := h.body(r, h.MaxBodyBytes); err != nil {
		t.Error(err)
	}
}

func TestAnAnswerForWhichThereIsNoRoom(t *testing.T) {
	body := bytes.Repeat([]byte("x"), smallBytes+1)
	for _, tt := range []struct {
		name, method string
		want         int
	}{
		{"to a read is not given", http.MethodGet, http.StatusTooManyRequests},
		{"to a list is not given", "LIST", http.StatusTooManyRequests},
		{"to a change is given all the same", http.MethodPost, http.StatusOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := New(Options{})
			h.answers.taken = h.answers.size
			w := httptest.NewRecorder()
			code := h.write(w, httptest.NewRequest(tt.method, "/v1/p", nil), http.StatusOK, body)
			if code != tt.want || w.Code != tt.want {
				t.Errorf("got %d, and said %d", w.Code, code)
			}
			if h.answers.taken != h.answers.size {
				t.Error("room was given back that was not taken")
			}
		})
	}
}

// What weigh counts is what a decoder finds.
func FuzzWeigh(f *testing.F) {
	f.Add([]byte(`{"a":[1,"[,\"",{}],"b":null}`))
	f.Add([]byte(`"\\"`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		depth, values := weigh(raw)
		if !json.Valid(raw) {
			return
		}
		now, deepest, scalars := 0, 0, 0
		in := json.NewDecoder(bytes.NewReader(raw))
		for {
			token, err := in.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				return // a number, say, that no type holds
			}
			switch token {
			case json.Delim('{'), json.Delim('['):
				now++
				deepest = max(deepest, now)
				scalars++
			case json.Delim('}'), json.Delim(']'):
				now--
			default:
				scalars++
			}
		}
		// Keys are tokens, too; and a value is a comma or a bracket but for the first.
		if depth != deepest || values > scalars || 2*values+2 < scalars-deepest {
			t.Errorf("%q: depth %d, values %d; the decoder finds %d and %d", raw, depth, values, deepest, scalars)
		}
	})
}
