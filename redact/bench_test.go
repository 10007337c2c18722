package redact

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// The scale of a large application, and of a large fleet's log collector.
var scales = []int{10, 1_000, 10_000}

const benchBytes = 1 << 20

func BenchmarkNoMatch(b *testing.B) {
	text := logText(benchBytes)
	for _, n := range scales {
		r := New()
		r.Set(randomValues(n)...)
		patterns := len(r.current.Load().patterns)
		b.Run(fmt.Sprintf("writer/values=%d", n), func(b *testing.B) {
			w := r.Writer(&memory{})
			benchmarkText(b, text, func() { w.Write(text) })
			b.ReportMetric(float64(patterns), "patterns")
		})
		b.Run(fmt.Sprintf("writer by line/values=%d", n), func(b *testing.B) {
			w := r.Writer(&memory{})
			lines := bytes.SplitAfter(text, []byte("\n"))
			benchmarkText(b, text, func() {
				for _, line := range lines {
					w.Write(line)
				}
			})
		})
	}
}

// What other ways take for the same, and what no way can be better than.
func BenchmarkBaseline(b *testing.B) {
	text := logText(benchBytes)
	b.Run("memcpy", func(b *testing.B) {
		var to memory
		benchmarkText(b, text, func() { to.Write(text) })
	})
	for _, n := range scales {
		r := New()
		r.Set(randomValues(n)...)
		var pairs []string
		for _, p := range r.current.Load().patterns {
			pairs = append(pairs, string(p.text), Marker)
		}
		b.Run(fmt.Sprintf("strings.Replacer/values=%d", n), func(b *testing.B) {
			replacer, text, to := strings.NewReplacer(pairs...), string(text), &memory{}
			benchmarkText(b, []byte(text), func() { replacer.WriteString(to, text) })
		})
		part := text[:len(text)/64]
		b.Run(fmt.Sprintf("naive/values=%d", n), func(b *testing.B) {
			benchmarkText(b, part, func() {
				for i := 0; i < len(pairs); i += 2 {
					bytes.Contains(part, []byte(pairs[i]))
				}
			})
		})
	}
}

// A line in ten holds a value.
func BenchmarkMatches(b *testing.B) {
	values := randomValues(1_000)
	text := logText(benchBytes)
	var out []byte
	for i, line := range bytes.SplitAfter(text, []byte("\n")) {
		if i%10 == 0 {
			out = append(out, values[i%len(values)].reveal()...)
		}
		out = append(out, line...)
	}
	r := New()
	r.Set(values...)
	w := r.Writer(&memory{})
	benchmarkText(b, out, func() { w.Write(out) })
}

func BenchmarkSet(b *testing.B) {
	for _, n := range scales {
		values := randomValues(n)
		b.Run(fmt.Sprintf("values=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				New().Set(values...)
			}
		})
	}
}

func benchmarkText(b *testing.B, text []byte, do func()) {
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		do()
	}
}

// memory is a place that is written over again and again.
type memory struct{ to []byte }

func (m *memory) Write(p []byte) (int, error) {
	m.to = append(m.to[:0], p...)
	return len(p), nil
}

// randomValues are passwords, keys in base64, URLs and, one of a hundred, PEM.
func randomValues(n int) []Value {
	rnd := rand.New(rand.NewPCG(1, 2))
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	const signs = letters + "!#$%&()*+,-./:;<=>?@[]^_{|}~"
	draw := func(from string, n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte(from[rnd.IntN(len(from))])
		}
		return b.String()
	}
	values := make([]Value, n)
	for i := range values {
		var text string
		switch {
		case i%100 == 0:
			key := base64.StdEncoding.EncodeToString([]byte(draw(signs, 300)))
			text = "-----BEGIN PRIVATE KEY-----\n"
			for ; len(key) > 64; key = key[64:] {
				text += key[:64] + "\n"
			}
			text += key + "\n-----END PRIVATE KEY-----\n"
		case i%10 == 1:
			text = fmt.Sprintf("postgres://app%d:%s@db%d.internal:5432/app", i, draw(letters, 20), i%7)
		case i%10 == 2:
			text = draw(signs, 10+rnd.IntN(20))
		case i%10 == 3:
			text = base64.StdEncoding.EncodeToString([]byte(draw(signs, 32)))
		default:
			text = draw(letters, 8+rnd.IntN(32))
		}
		values[i] = Secret(fmt.Sprintf("VALUE_%d", i), text)
	}
	return values
}

// logText is what services write: JSON lines, logfmt, access logs, traces.
func logText(n int) []byte {
	rnd := rand.New(rand.NewPCG(3, 4))
	words := strings.Fields("request served connection refused database pool exhausted user session order payment retry after timeout upstream worker started stopped cache miss index shard replica leader elected snapshot written")
	var b bytes.Buffer
	for b.Len() < n {
		var message []string
		for range 4 + rnd.IntN(8) {
			message = append(message, words[rnd.IntN(len(words))])
		}
		text := strings.Join(message, " ")
		switch rnd.IntN(4) {
		case 0:
			fmt.Fprintf(&b, `{"time":"2026-07-%02dT12:%02d:%02d.%06dZ","level":"INFO","msg":%q,"trace_id":"%016x%016x","status":%d}`+"\n",
				1+rnd.IntN(28), rnd.IntN(60), rnd.IntN(60), rnd.IntN(1e6), text, rnd.Uint64(), rnd.Uint64(), 200+rnd.IntN(300))
		case 1:
			fmt.Fprintf(&b, "time=2026-07-01T12:00:%02d level=warn msg=%q user=u%d took=%dms\n", rnd.IntN(60), text, rnd.IntN(1e6), rnd.IntN(900))
		case 2:
			fmt.Fprintf(&b, `10.0.%d.%d - - [01/Jul/2026:12:00:%02d +0000] "GET /api/v1/orders/%d?page=%d HTTP/1.1" 200 %d "-" "Mozilla/5.0 (X11; Linux x86_64)"`+"\n",
				rnd.IntN(256), rnd.IntN(256), rnd.IntN(60), rnd.IntN(1e7), rnd.IntN(50), rnd.IntN(1e5))
		case 3:
			fmt.Fprintf(&b, "\tat com.example.%s.%s(%s.java:%d)\n", message[0], message[1], message[2], rnd.IntN(900))
		}
	}
	return b.Bytes()[:n]
}
