package scan

import (
	"encoding/base32"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
)

// Sources and labelled samples spell out no credential: a hole such as {b62:30}
// stands for characters that are drawn when the test runs, the same each time.
var holes = regexp.MustCompile(`\{(hex|HEX|num|low|UP|az|alpha|b32|b32l|b58|b62|b64|url|bech|dj|uuid|crc|crcall|nkey):?([0-9]+|[A-Z])?\}`)

const (
	digits  = "0123456789"
	lowers  = "abcdefghijklmnopqrstuvwxyz"
	uppers  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	letters = uppers + lowers
)

// alphabets are what holes are filled with.
var alphabets = map[string]string{
	"hex": digits + "abcdef", "HEX": digits + "ABCDEF", "num": digits, "low": digits + lowers, "UP": digits + uppers, "az": lowers, "alpha": letters,
	"b32": uppers + "234567", "b32l": lowers + "234567", "b58": "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
	"b62": digits + letters, "b64": digits + letters + "+/", "url": digits + letters + "-_", "bech": "023456789ACDEFGHJKLMNPQRSTUVWXYZ", "dj": lowers + digits + "!@#$%^&*(-_=+)",
}

// filling fills the holes of templates.
type filling struct{ r *rand.Rand }

func newFilling(seed uint64) *filling { return &filling{rand.New(rand.NewPCG(seed, 6))} }

// expand fills a template, the same template always in the same way.
func expand(template string) string {
	return newFilling(uint64(crc32.ChecksumIEEE([]byte(template)))).fill(template)
}

func (f *filling) fill(template string) string {
	var b strings.Builder
	for {
		at := holes.FindStringSubmatchIndex(template)
		if at == nil {
			return b.String() + template
		}
		b.WriteString(template[:at[0]])
		kind, arg := template[at[2]:at[3]], ""
		if at[4] >= 0 {
			arg = template[at[4]:at[5]]
		}
		b.WriteString(f.hole(kind, arg, b.String()))
		template = template[at[1]:]
	}
}

func (f *filling) hole(kind, arg, before string) string {
	switch kind {
	case "uuid":
		return fmt.Sprintf("%s-%s-4%s-a%s-%s", f.draw("hex", 8), f.draw("hex", 4), f.draw("hex", 3), f.draw("hex", 3), f.draw("hex", 12))
	case "crc":
		return crcOf(before[strings.LastIndexByte(before, '_')+1:])
	case "crcall":
		return crcOf(before[strings.LastIndexAny(before, " =\"'\n")+1:])
	case "nkey":
		return f.nkey(arg[0])
	}
	n, err := strconv.Atoi(arg)
	if err != nil {
		panic("expand_test: internal error: a hole without a length in " + before)
	}
	return f.draw(kind, n)
}

// draw returns n characters; the first and the last are letters or digits.
func (f *filling) draw(kind string, n int) string {
	alphabet := alphabets[kind]
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[f.r.IntN(len(alphabet))]
		for kind != "dj" && (i == 0 || i == n-1) && strings.IndexByte(digits+letters, b[i]) < 0 {
			b[i] = alphabet[f.r.IntN(len(alphabet))]
		}
	}
	if n >= 12 && strings.Contains(alphabet, digits) && !strings.ContainsAny(string(b), digits) {
		b[n/2] = '7'
	}
	return string(b)
}

// crcOf returns the checksum that tokens of GitHub, npm and coffer end with.
func crcOf(body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	b := make([]byte, checkChars)
	for i := checkChars - 1; i >= 0; i-- {
		b[i] = base62[sum%62]
		sum /= 62
	}
	return string(b)
}

// nkey returns a seed of NATS: two prefixes, a key, and a checksum.
func (f *filling) nkey(role byte) string {
	prefix := map[byte]byte{'U': 20 << 3, 'A': 0, 'O': 14 << 3}[role]
	raw := []byte{18<<3 | prefix>>5, prefix << 3 & 0xff}
	for range 32 {
		raw = append(raw, byte(f.r.IntN(256)))
	}
	sum := uint16(0)
	for _, c := range raw {
		sum ^= uint16(c) << 8
		for range 8 {
			carry := sum&0x8000 != 0
			sum <<= 1
			if carry {
				sum ^= 0x1021
			}
		}
	}
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(append(raw, byte(sum), byte(sum>>8)))
}
