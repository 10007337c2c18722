package userpass

import (
	"strings"
	"testing"
)

// The first two are from the tests of argon2's reference implementation
// (version 0x13), the others are well known bcrypt vectors of jBCrypt.
var vectors = []struct{ name, hash, password string }{
	{"argon2id, 256 KiB", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password"},
	{"argon2id, two lanes", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc", "password"},
	{"bcrypt", "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe", "a"},
	{"bcrypt of more", "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i", "abc"},
}

func TestHashesOfOthers(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			if good, err := matches(v.hash, v.password); !good || err != nil {
				t.Errorf("the password matches %t, error %v", good, err)
			}
			if good, err := matches(v.hash, v.password+"x"); good || err != nil {
				t.Errorf("another matches %t, error %v", good, err)
			}
		})
	}
}

func TestHashesDiffer(t *testing.T) {
	a, b := cheap.hash("pw"), cheap.hash("pw")
	if a == b {
		t.Error("two hashes have one salt")
	}
	for _, hash := range []string{a, b} {
		if good, err := matches(hash, "pw"); !good || err != nil {
			t.Errorf("%t, error %v", good, err)
		}
		if good, err := matches(hash, "PW"); good || err != nil {
			t.Errorf("another password: %t, error %v", good, err)
		}
	}
	if !strings.HasPrefix(owasp.dummy(), "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("the recommended cost: %s", owasp.dummy())
	}
}

func TestHashesThatAreNone(t *testing.T) {
	good := cheap.dummy()
	if _, err := parseArgon(good); err != nil {
		t.Fatal(err)
	}
	changed := func(old, with string) string { return strings.Replace(good, old, with, 1) }
	for name, hash := range map[string]string{
		"nothing": "", "a password": "secret", "the prefix": phcPrefix, "no sum": good[:strings.LastIndex(good, "$")],
		"another version": changed("v=19", "v=16"), "another algorithm": changed("argon2id", "argon2i"),
		"more after it": good + "$x", "padding": good + "=", "a line break": good + "\n", "a space": changed("m=", "m= "),
		"leading zeros": changed("m=8", "m=08"), "a sign": changed("m=8", "m=+8"), "too much memory": changed("m=8", "m=4000000000"),
		"too little": changed("m=8", "m=7"), "a number too large": changed("m=8", "m=4294967304"), "no passes": changed("t=1", "t=0"),
		"too many passes": changed("t=1", "t=99"), "no thread": changed("p=1", "p=0"), "other order": changed("m=8,t=1", "t=1,m=8"),
		"a short salt": "$argon2id$v=19$m=8,t=1,p=1$c29t$" + strings.Repeat("A", 43), "a short sum": good[:len(good)-30],
		"bcrypt, cut off": "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfx", "bcrypt with a flaw": "$2x$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe",
		"bcrypt, cheaper than there is": "$2a$03$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe",
	} {
		if good, err := matches(hash, "secret"); good || err == nil || strings.Contains(err.Error(), "$") {
			t.Errorf("%s: %t, error %v", name, good, err)
		}
	}
}

// Whatever is read as a hash prints as it was, and cannot stop the server.
func FuzzParseArgon(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.hash)
	}
	f.Add(owasp.dummy())
	f.Add(phcPrefix + "m=8,t=1,p=1$c29tZXNhbHQ$")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseArgon(text)
		if err != nil {
			return
		}
		if h.text() != text || !h.sane() {
			t.Errorf("%q is %q", text, h.text())
		}
	})
}

// Whatever is taken for a bcrypt hash can be compared with.
func FuzzIsBcrypt(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.hash, v.password)
	}
	f.Add("$2b$04$"+strings.Repeat(".", 53), "x\x00y")
	f.Fuzz(func(t *testing.T, hash, password string) {
		if !isBcrypt(hash) || hash[4:6] > "06" {
			return
		}
		if _, err := matches(hash, password); err != nil {
			t.Errorf("%q: %v", hash, err)
		}
	})
}
