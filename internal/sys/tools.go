package sys

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strconv"

	"github.com/cofferhq/coffer/internal/logical"
)

var toolFields = logical.Fields{
	"bytes":     {Type: logical.Int, Help: "How many random bytes; 32 if absent."},
	"source":    {Type: logical.Text, Help: "platform, seal or all; there is one source for all of them."},
	"format":    {Type: logical.Text, Help: "hex or base64."},
	"input":     {Type: logical.Text, Help: "What to hash, in base64."},
	"algorithm": {Type: logical.Text, Help: "sha2-224, -256, -384, -512 or sha3-224, -256, -384, -512."},
}

var toolRoutes = logical.Routes[*system]{
	{Op: logical.Write, Path: "tools/random", Do: (*system).random, Fields: toolFields, Help: "Make random bytes."},
	{Op: logical.Write, Path: "tools/random/{first}", Do: (*system).random, Fields: toolFields, Help: "Make random bytes, of a number or of a source."},
	{Op: logical.Write, Path: "tools/random/{first}/{urlbytes}", Do: (*system).random, Fields: toolFields, Help: "Make random bytes, of a source and a number."},
	{Op: logical.Write, Path: "tools/hash", Do: (*system).hash, Fields: toolFields, Help: "Hash bytes."},
	{Op: logical.Write, Path: "tools/hash/{urlalgorithm}", Do: (*system).hash, Fields: toolFields, Help: "Hash bytes with an algorithm."},
}

// maxRandomBytes bounds one answer.
const maxRandomBytes = 128 << 10

func (s *system) random(_ context.Context, r *logical.Request) (*logical.Response, error) {
	n, source := 32, r.Text("source")
	if r.Has("bytes") {
		n = r.Int("bytes")
	}
	first, second := r.Text("first"), r.Text("urlbytes")
	if _, err := strconv.Atoi(first); err == nil && second == "" {
		first, second = "", first
	}
	if first != "" {
		source = first
	}
	if second != "" {
		var err error
		if n, err = strconv.Atoi(second); err != nil {
			return nil, logical.Invalid("error parsing url-set byte count: not a number")
		}
	}
	switch {
	case n < 1:
		return nil, logical.Invalid("\"bytes\" cannot be less than 1")
	case n > maxRandomBytes:
		return nil, logical.Invalid("\"bytes\" should be less than %d", maxRandomBytes)
	case source != "" && source != "platform" && source != "seal" && source != "all":
		return nil, logical.Invalid("unsupported entropy source %q; must be \"platform\" or \"seal\", or \"all\"", source)
	}
	bytes := make([]byte, n)
	rand.Read(bytes) // never fails
	text, err := format(bytes, r.Text("format"), "base64")
	return &logical.Response{Data: object{"random_bytes": text}}, err
}

// format writes bytes in a format, or in that of the tool if none is asked for.
func format(b []byte, name, usual string) (string, error) {
	if name == "" {
		name = usual
	}
	switch name {
	case "hex":
		return hex.EncodeToString(b), nil
	case "base64":
		return base64.StdEncoding.EncodeToString(b), nil
	}
	return "", logical.Invalid("unsupported encoding format %q; must be \"hex\" or \"base64\"", name)
}

var hashes = map[string]func() hash.Hash{
	"sha2-224": sha256.New224, "sha2-256": sha256.New, "sha2-384": sha512.New384, "sha2-512": sha512.New,
	"sha3-224": func() hash.Hash { return sha3.New224() },
	"sha3-256": func() hash.Hash { return sha3.New256() },
	"sha3-384": func() hash.Hash { return sha3.New384() },
	"sha3-512": func() hash.Hash { return sha3.New512() },
}

func (s *system) hash(_ context.Context, r *logical.Request) (*logical.Response, error) {
	input, err := base64.StdEncoding.DecodeString(r.Text("input"))
	if err != nil {
		return nil, logical.Invalid("unable to decode input as base64")
	}
	name := "sha2-256"
	for _, field := range []string{"algorithm", "urlalgorithm"} {
		if r.Text(field) != "" {
			name = r.Text(field)
		}
	}
	make, ok := hashes[name]
	if !ok {
		return nil, logical.Invalid("unsupported algorithm %q", name)
	}
	h := make()
	h.Write(input)
	text, err := format(h.Sum(nil), r.Text("format"), "hex")
	return &logical.Response{Data: object{"sum": text}}, err
}
