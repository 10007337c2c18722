package password

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/cryptotest"
	"unicode/utf8"
)

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
)

// satisfies reports what of a policy a password does not have, counted in another
// way than the policy itself does.
func satisfies(p Policy, password string) error {
	if n := utf8.RuneCountInString(password); n != p.length {
		return fmt.Errorf("%d characters, want %d", n, p.length)
	}
	count := func(set []rune) (n int) {
		for _, c := range password {
			if strings.ContainsRune(string(set), c) {
				n++
			}
		}
		return n
	}
	if n := count(p.chars); n != p.length {
		return fmt.Errorf("%d characters are of no set", p.length-n)
	}
	for _, r := range p.rules {
		if n := count(r.chars); n < r.min {
			return fmt.Errorf("%d characters of %q, want %d", n, string(r.chars), r.min)
		}
	}
	return nil
}

func TestEveryPasswordSatisfiesItsPolicy(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"the default", DefaultText},
		{"no minimum", charsets(4, 0, lower)},
		{"one character only", charsets(5, 5, "a")},
		{"sets that overlap", charsets(12, 4, "abcde", "cdefg", "gh")},
		{"characters of four bytes", charsets(9, 2, "😀😁", "äöü")},
		{"a rule that next to no candidate satisfies", charsets(20, 20, "x") + charsets(0, 0, lower)[len("length = 0\n"):]},
		{"rules that leave no choice but the order", charsets(4, 1, "a", "b", "c", "d")},
		{"the longest, with all of it asked for", charsets(MaxLength, MaxLength/MaxRules, strings.Split(runes(MaxRules), "")...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := mustParse(t, tt.text)
			for range 20 {
				if err := satisfies(p, p.Generate().RevealText()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestTheZeroPolicyIsTheDefault(t *testing.T) {
	p := mustParse(t, DefaultText)
	if p.length != 20 || len(p.rules) != 4 || len(p.chars) != 63 {
		t.Errorf("the default is %s", p.describe())
	}
	if err := satisfies(p, Policy{}.Generate().RevealText()); err != nil {
		t.Error(err)
	}
}

func TestPasswordsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		seen[Policy{}.Generate().RevealText()] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d different passwords of 1000", len(seen))
	}
}

func TestAPasswordCannotBePrinted(t *testing.T) {
	p := Policy{}.Generate()
	if text := fmt.Sprintf("%v %+v %#v %s", p, p, p, p); strings.Contains(text, p.RevealText()) {
		t.Error("it can")
	}
}

// chiSquare is how far counts are from being all alike, in standard deviations of
// the distribution that it then has.
func chiSquare(counts []int) float64 {
	total := 0
	for _, n := range counts {
		total += n
	}
	want := float64(total) / float64(len(counts))
	sum := 0.0
	for _, n := range counts {
		sum += (float64(n) - want) * (float64(n) - want) / want
	}
	freedom := float64(len(counts) - 1)
	return (sum - freedom) / math.Sqrt(2*freedom)
}

// frequencies is how often each character of p stands in n passwords.
func frequencies(p Policy, n int) []int {
	byChar := map[rune]int{}
	for range n {
		for _, c := range p.Generate().RevealText() {
			byChar[c]++
		}
	}
	var counts []int
	for _, c := range p.chars {
		counts = append(counts, byChar[c])
	}
	return counts
}

func TestEveryCharacterIsAsLikely(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	for _, tt := range []struct{ name, text string }{
		{"two characters", charsets(64, 0, "ab")},
		{"letters and digits", charsets(64, 0, lower, upper, digits)},
		{"two in five of 256", charsets(64, 0, runes(200))},
		{"as many as there may be", charsets(64, 0, runes(MaxChars))},
		{"sets that overlap", charsets(64, 0, "abcde", "cdefg", "aaaaaa")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if off := chiSquare(frequencies(mustParse(t, tt.text), 2000)); math.Abs(off) > 4 {
				t.Errorf("%.1f standard deviations off", off)
			}
		})
	}
}

// All passwords of a small policy are counted: 4 characters of "abc" with an a and
// a b are 81 less those without an a (16), without a b (16), and of c only (1).
func TestEveryPasswordIsAsLikely(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 2)
	p := mustParse(t, charsets(4, 1, "a", "b")+"rule \"charset\" {\n charset = \"c\"\n}\n")
	byText := map[string]int{}
	for range 50 * 1000 {
		byText[p.Generate().RevealText()]++
	}
	var counts []int
	for _, n := range byText {
		counts = append(counts, n)
	}
	if len(counts) != 50 {
		t.Fatalf("%d different passwords, want 50", len(counts))
	}
	if off := chiSquare(counts); math.Abs(off) > 4 {
		t.Errorf("%.1f standard deviations off", off)
	}
}

// What is put together must not show where: each place has each character as often.
func TestWhatIsPutTogetherIsShuffled(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 3)
	p := mustParse(t, charsets(8, 1, strings.Split("abcdefgh", "")...))
	counts := make([]int, 8*8)
	var d dice
	candidate := make([]rune, p.length)
	for range 64 * 500 {
		p.assemble(&d, candidate)
		for i, c := range candidate {
			counts[i*8+int(c-'a')]++
		}
	}
	if off := chiSquare(counts); math.Abs(off) > 4 {
		t.Errorf("%.1f standard deviations off", off)
	}
}

func TestDiceStayBelow(t *testing.T) {
	var d dice
	for _, n := range []int{1, 2, 3, 255, 256, 257, 1024, 1 << 16} {
		highest := 0
		for range 1000 {
			v := d.below(n)
			if v < 0 || v >= n {
				t.Fatalf("below(%d) = %d", n, v)
			}
			highest = max(highest, v)
		}
		if highest < n/2 {
			t.Errorf("below(%d) never was above %d", n, highest)
		}
	}
}

// Of 16 bits, a remainder by 40,000 without rejection has the numbers below 25,536
// twice as often.
func TestDiceAreFair(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 4)
	const n, parts = 40_000, 8
	var d dice
	counts := make([]int, parts)
	for range 20_000 {
		counts[d.below(n)/(n/parts)]++
	}
	if off := chiSquare(counts); math.Abs(off) > 4 {
		t.Errorf("%.1f standard deviations off", off)
	}
}

// Whatever the text, there is a reason to refuse it, or a policy whose passwords
// satisfy it.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", DefaultText, charsets(4, 4, "a"), charsets(1024, 16, "a", "ab"), charsets(8, 1, "ä😀"),
		`{"length":8,"rule":[{"charset":{"charset":"ab","min-chars":8}}]}`, `{"rule":null}`, "length = 4\nrule = [[{charset = [{charset = \"a\"}]}]]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		password := p.Generate().RevealText()
		if !utf8.ValidString(password) {
			t.Error("the password is not UTF-8")
		}
		if err := satisfies(p, password); err != nil {
			t.Errorf("%s: %v", p.describe(), err)
		}
	})
}
