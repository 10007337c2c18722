package postgres

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

// The server's own defaults (RFC 7677 §4 asks for 4096 at least).
const (
	scramRounds = 4096
	saltBytes   = 16
)

// verifier returns what the server keeps of a password instead of it: a
// SCRAM-SHA-256 verifier (RFC 5802 §3, RFC 5803, RFC 7677) in the server's form.
// It returns an error of kind [logical.ErrInvalid] if the password has other
// characters than ASCII, whose preparation (RFC 4013) clients do differently.
func verifier(password secret.Bytes) (secret.Bytes, error) {
	for _, c := range password.Reveal() {
		if c >= 0x80 {
			return secret.Bytes{}, logical.Invalid("with password_authentication scram-sha-256 a password can have ASCII characters only")
		}
	}
	salt := make([]byte, saltBytes)
	rand.Read(salt) // never fails
	stored, server, err := scramKeys(password, salt)
	if err != nil {
		return secret.Bytes{}, err
	}
	b64 := base64.StdEncoding.EncodeToString
	return secret.Text(fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", scramRounds, b64(salt), b64(stored), b64(server))), nil
}

// scramKeys returns StoredKey and ServerKey of RFC 5802 §3.
func scramKeys(password secret.Bytes, salt []byte) (stored, server []byte, err error) {
	salted, err := pbkdf2.Key(sha256.New, password.RevealText(), salt, scramRounds, sha256.Size)
	if err != nil {
		return nil, nil, fmt.Errorf("derive a verifier: %w", err)
	}
	sum := sha256.Sum256(mac(salted, "Client Key"))
	return sum[:], mac(salted, "Server Key"), nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
