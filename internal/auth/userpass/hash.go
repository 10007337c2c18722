package userpass

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// cost is what one argon2id hash takes (RFC 9106 §3.1).
type cost struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
}

// owasp is the cost that the OWASP Password Storage Cheat Sheet recommends.
var owasp = cost{memory: 19 << 10, passes: 2, threads: 1}

const (
	saltBytes = 16
	sumBytes  = 32
)

// hash returns the argon2id hash of password in PHC form, with a new salt.
func (c cost) hash(password string) string {
	h := argon{cost: c, salt: randomBytes(saltBytes)}
	h.sum = h.of(password, sumBytes)
	return h.text()
}

// dummy returns a hash that no password has, without the work of one.
func (c cost) dummy() string {
	return argon{cost: c, salt: randomBytes(saltBytes), sum: randomBytes(sumBytes)}.text()
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// argon is an argon2id hash.
type argon struct {
	cost
	salt, sum []byte
}

func (h argon) of(password string, size int) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.threads, uint32(size))
}

const phcPrefix = "$argon2id$v=19$"

// text returns the hash as a PHC string, as the reference implementation of
// argon2 prints it.
func (h argon) text() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("%sm=%d,t=%d,p=%d$%s$%s", phcPrefix, h.memory, h.passes, h.threads,
		b64.EncodeToString(h.salt), b64.EncodeToString(h.sum))
}

var errHash = errors.New("userpass password record: malformed hash")

// parseArgon is the reverse of text. It takes nothing that text would not print,
// and no cost that would stop the server.
func parseArgon(phc string) (argon, error) {
	rest, ok := strings.CutPrefix(phc, phcPrefix)
	params, rest, more := strings.Cut(rest, "$")
	salt, sum, both := strings.Cut(rest, "$")
	if !ok || !more || !both {
		return argon{}, errHash
	}
	var h argon
	if _, err := fmt.Sscanf(params, "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.threads); err != nil {
		return argon{}, errHash
	}
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.DecodeString(salt)
	h.sum, err2 = base64.RawStdEncoding.DecodeString(sum)
	if err1 != nil || err2 != nil || !h.sane() || h.text() != phc {
		return argon{}, errHash
	}
	return h, nil
}

func (h argon) sane() bool {
	return h.threads >= 1 && h.threads <= 16 && h.passes >= 1 && h.passes <= 16 &&
		h.memory >= 8*uint32(h.threads) && h.memory <= 256<<10 &&
		len(h.salt) >= 8 && len(h.salt) <= 64 && len(h.sum) >= 16 && len(h.sum) <= 64
}

// maxBcryptCost bounds imported hashes: one of this cost takes seconds, and each
// step doubles that.
const maxBcryptCost = 16

var bcryptForm = regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

// isBcrypt says whether text is a bcrypt hash that can be checked in good time.
func isBcrypt(text string) bool {
	if !bcryptForm.MatchString(text) {
		return false
	}
	c, err := bcrypt.Cost([]byte(text))
	return err == nil && c <= maxBcryptCost
}

// matches says whether hash is one of password. An error is about hash.
func matches(hash, password string) (bool, error) {
	if strings.HasPrefix(hash, phcPrefix) {
		h, err := parseArgon(hash)
		if err != nil {
			return false, err
		}
		return subtle.ConstantTimeCompare(h.sum, h.of(password, len(h.sum))) == 1, nil
	}
	if !isBcrypt(hash) {
		return false, errHash
	}
	err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	if err == nil || errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return err == nil, nil
	}
	return false, errHash
}
