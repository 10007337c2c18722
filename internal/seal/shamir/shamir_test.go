package shamir

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/cofferhq/coffer/internal/secret"
)

// slowMul multiplies as polynomials and reduces, as one does by hand.
func slowMul(a, b byte) byte {
	product := 0
	for i := range 8 {
		if b>>i&1 == 1 {
			product ^= int(a) << i
		}
	}
	for bit := 14; bit >= 8; bit-- {
		if product>>bit&1 == 1 {
			product ^= 0x11b << (bit - 8)
		}
	}
	return byte(product)
}

func TestFieldLaws(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			x, y := byte(a), byte(b)
			p := mul(x, y)
			if p != slowMul(x, y) {
				t.Fatalf("%#x·%#x = %#x, want %#x", x, y, p, slowMul(x, y))
			}
			if p != mul(y, x) {
				t.Fatalf("%#x·%#x does not commute", x, y)
			}
			if (p == 0) != (x == 0 || y == 0) {
				t.Fatalf("%#x·%#x = %#x: zero divisors", x, y, p)
			}
		}
		x := byte(a)
		if mul(x, 1) != x {
			t.Errorf("%#x·1 = %#x", x, mul(x, 1))
		}
		if want := min(x, 1); mul(x, inverse(x)) != want {
			t.Errorf("%#x·inverse = %#x, want %#x", x, mul(x, inverse(x)), want)
		}
	}
}

func TestMultiplicationAssociatesAndDistributes(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			for _, c := range []byte{0, 1, 2, 3, 0x1b, 0x53, 0x80, 0xca, 0xff} {
				x, y := byte(a), byte(b)
				if mul(mul(x, y), c) != mul(x, mul(y, c)) {
					t.Fatalf("(%#x·%#x)·%#x does not associate", x, y, c)
				}
				if mul(x^y, c) != mul(x, c)^mul(y, c) {
					t.Fatalf("(%#x+%#x)·%#x does not distribute", x, y, c)
				}
			}
		}
	}
}

func TestPublishedProductsOfTheField(t *testing.T) {
	for _, v := range []struct{ a, b, want byte }{
		{0x57, 0x83, 0xc1}, // FIPS 197 §4.2
		{0x57, 0x13, 0xfe}, // FIPS 197 §4.2.1
		{0x53, 0xca, 0x01},
	} {
		if got := mul(v.a, v.b); got != v.want {
			t.Errorf("%#x·%#x = %#x, want %#x", v.a, v.b, got, v.want)
		}
	}
}

// Shares that were computed by hand from the polynomials named: of another
// implementation's making, whatever its random numbers were.
func TestSharesOfAnotherImplementationCombine(t *testing.T) {
	tests := map[string]struct{ shares, want string }{
		// 0x42 + 0x57·x at 0x83 and 0x13
		"a line":            {"8383 bc13", "42"},
		"a constant":        {"42ff", "42"},
		"a constant, twice": {"42ff 4201", "42"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var shares []secret.Bytes
			for _, f := range bytes.Fields([]byte(test.shares)) {
				raw, err := hex.DecodeString(string(f))
				if err != nil {
					t.Fatal(err)
				}
				shares = append(shares, secret.New(raw))
			}
			got, err := Combine(shares)
			if err != nil || hex.EncodeToString(got.Reveal()) != test.want {
				t.Errorf("got %x, %v, want %s", got.Reveal(), err, test.want)
			}
		})
	}
}

// naiveCombine solves the linear equations that the shares are, by Gauss: a way
// that has nothing but the field in common with Lagrange's.
func naiveCombine(shares [][]byte) []byte {
	n, size := len(shares), len(shares[0])-1
	rows := make([][]byte, n)
	for i, s := range shares {
		power := byte(1)
		for range n {
			rows[i] = append(rows[i], power)
			power = slowMul(power, s[size])
		}
		rows[i] = append(rows[i], s[:size]...)
	}
	for col := range n {
		for i := col; i < n; i++ {
			if rows[i][col] != 0 {
				rows[col], rows[i] = rows[i], rows[col]
				break
			}
		}
		scale(rows[col], slowInverse(rows[col][col]))
		for i := range n {
			if i != col {
				subtract(rows[i], rows[col], rows[i][col])
			}
		}
	}
	return rows[0][n:]
}

func slowInverse(a byte) byte {
	for b := range 256 {
		if slowMul(a, byte(b)) == 1 {
			return byte(b)
		}
	}
	return 0
}

func scale(row []byte, by byte) {
	for i := range row {
		row[i] = slowMul(row[i], by)
	}
}

func subtract(row, other []byte, times byte) {
	for i := range row {
		row[i] ^= slowMul(other[i], times)
	}
}

func reveal(shares []secret.Bytes) [][]byte {
	var raw [][]byte
	for _, s := range shares {
		raw = append(raw, s.Reveal())
	}
	return raw
}

func TestEveryThresholdOfSharesRestoresTheSecret(t *testing.T) {
	want := secret.Text("a secret of some length")
	for shares := 1; shares <= 6; shares++ {
		for threshold := 1; threshold <= shares; threshold++ {
			all, err := Split(want, shares, threshold)
			if err != nil || len(all) != shares {
				t.Fatalf("%d of %d: %d shares, %v", threshold, shares, len(all), err)
			}
			for set := range 1 << shares {
				var some []secret.Bytes
				for i := range shares {
					if set>>i&1 == 1 {
						some = append(some, all[i])
					}
				}
				if len(some) == 0 {
					continue
				}
				got, err := Combine(some)
				if err != nil {
					t.Fatal(err)
				}
				if enough := len(some) >= threshold; got.Equal(want) != enough {
					t.Errorf("%d of %d shares, threshold %d: restored is %v", len(some), shares, threshold, !enough)
				}
				if !bytes.Equal(naiveCombine(reveal(some)), got.Reveal()) {
					t.Errorf("%d of %d shares: Gauss and Lagrange disagree", len(some), shares)
				}
			}
		}
	}
}

func TestAsManySharesAsThereCanBe(t *testing.T) {
	want := secret.Text("s")
	all, err := Split(want, MaxShares, MaxShares)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Combine(all); err != nil || !got.Equal(want) {
		t.Errorf("all shares do not restore the secret: %v", err)
	}
}

func TestSplittingTwiceGivesOtherShares(t *testing.T) {
	s := secret.New(make([]byte, 32))
	one, err1 := Split(s, 2, 2)
	two, err2 := Split(s, 2, 2)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if one[0].Equal(two[0]) || bytes.Equal(one[0].Reveal()[:32], s.Reveal()) {
		t.Error("shares are not random")
	}
}

func TestWhatCannotBeSplit(t *testing.T) {
	tests := map[string]struct {
		secret            string
		shares, threshold int
	}{
		"nothing":                       {"", 1, 1},
		"no shares":                     {"s", 0, 0},
		"no threshold":                  {"s", 3, 0},
		"a threshold below zero":        {"s", 3, -1},
		"a threshold above the shares":  {"s", 3, 4},
		"more shares than there can be": {"s", 256, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Split(secret.Text(test.secret), test.shares, test.threshold); !errors.Is(err, ErrParameters) {
				t.Errorf("got %v, want %v", err, ErrParameters)
			}
		})
	}
}

func TestWhatDoesNotCombine(t *testing.T) {
	tests := map[string][]string{
		"no shares":                 {},
		"an empty share":            {""},
		"a share of a point only":   {"\x01"},
		"shares of other lengths":   {"ab\x01", "abc\x02"},
		"the same share twice":      {"ab\x01", "ab\x01"},
		"two shares of one point":   {"ab\x01", "cd\x01"},
		"a share of the point zero": {"ab\x00"},
	}
	for name, texts := range tests {
		t.Run(name, func(t *testing.T) {
			var shares []secret.Bytes
			for _, s := range texts {
				shares = append(shares, secret.Text(s))
			}
			if _, err := Combine(shares); !errors.Is(err, ErrShares) {
				t.Errorf("got %v, want %v", err, ErrShares)
			}
		})
	}
}

// Whatever is split is restored; whatever is combined does not panic.
func FuzzSplitCombine(f *testing.F) {
	f.Add([]byte("secret"), uint8(5), uint8(3), []byte("share"))
	f.Add([]byte{0}, uint8(1), uint8(1), []byte{})
	f.Fuzz(func(t *testing.T, data []byte, n, k uint8, junk []byte) {
		want := secret.New(data)
		shares, err := Split(want, int(n), int(k))
		if err != nil {
			if !errors.Is(err, ErrParameters) {
				t.Fatal(err)
			}
			return
		}
		got, err := Combine(shares[len(shares)-int(k):])
		if err != nil || !got.Equal(want) {
			t.Errorf("not restored: %v", err)
		}
		shares[0] = secret.New(junk)
		if _, err := Combine(shares); err != nil && !errors.Is(err, ErrShares) {
			t.Error(err)
		}
	})
}
