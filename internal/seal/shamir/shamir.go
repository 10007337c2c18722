// Package shamir splits a secret into shares of which any threshold restores it
// and fewer tell nothing (A. Shamir, "How to share a secret", 1979), byte by byte
// over GF(2^8).
//
// A share does not prove that it is one: with a wrong or changed share the result
// is another secret and no error. Who needs to know checks the secret.
package shamir

import (
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"

	"github.com/cofferhq/coffer/internal/secret"
)

// MaxShares is how many points but zero the field has.
const MaxShares = 255

// Errors of this package.
var (
	// ErrParameters says that a secret cannot be split so.
	ErrParameters = errors.New("shamir: impossible parameters")
	// ErrShares says that shares do not fit together.
	ErrShares = errors.New("shamir: shares do not fit together")
)

// Split returns shares of s, any threshold of which restore it. It returns
// ErrParameters unless 1 ≤ threshold ≤ shares ≤ [MaxShares] and s has at least a
// byte.
//
// A share is one byte longer than s: for each byte of s the value of a polynomial
// of degree threshold-1, and at the end the point at which they were taken, from
// 1. HashiCorp's shamir package has the same form.
func Split(s secret.Bytes, shares, threshold int) ([]secret.Bytes, error) {
	if threshold < 1 || threshold > shares || shares > MaxShares {
		return nil, fmt.Errorf("%w: %d shares, threshold %d", ErrParameters, shares, threshold)
	}
	if s.Empty() {
		return nil, fmt.Errorf("%w: nothing to split", ErrParameters)
	}
	points := newPoints(shares)
	values := make([][]byte, shares)
	for i := range values {
		values[i] = make([]byte, 0, len(s.Reveal())+1)
	}
	coefficients := make([]byte, threshold)
	defer clear(coefficients)
	for _, b := range s.Reveal() {
		rand.Read(coefficients) // never fails; zeros are as likely as all others
		coefficients[0] = b
		for i, x := range points {
			values[i] = append(values[i], evaluate(coefficients, x))
		}
	}
	out := make([]secret.Bytes, shares)
	for i, x := range points {
		out[i] = secret.New(append(values[i], x))
		clear(values[i])
	}
	return out, nil
}

// Combine returns the secret whose shares are given. It returns ErrShares if
// there are none, if they differ in length, or if two are of the same point or
// one is of none. Fewer shares than the threshold give a wrong secret.
func Combine(shares []secret.Bytes) (secret.Bytes, error) {
	points, err := pointsOf(shares)
	if err != nil {
		return secret.Bytes{}, err
	}
	weights := weightsAtZero(points)
	out := make([]byte, len(shares[0].Reveal())-1)
	defer clear(out)
	for i, share := range shares {
		values := share.Reveal()
		for j := range out {
			out[j] ^= mul(weights[i], values[j])
		}
	}
	return secret.New(out), nil
}

// newPoints returns n different points in random order, none of them zero.
func newPoints(n int) []byte {
	var seed [32]byte
	rand.Read(seed[:]) // never fails
	points := make([]byte, n)
	for i, p := range mathrand.New(mathrand.NewChaCha8(seed)).Perm(MaxShares)[:n] {
		points[i] = byte(p + 1)
	}
	return points
}

// pointsOf checks that shares fit together and returns their points.
func pointsOf(shares []secret.Bytes) ([]byte, error) {
	if len(shares) == 0 || len(shares) > MaxShares {
		return nil, fmt.Errorf("%w: %d shares", ErrShares, len(shares))
	}
	size := len(shares[0].Reveal())
	if size < 2 {
		return nil, fmt.Errorf("%w: a share is too short", ErrShares)
	}
	points := make([]byte, len(shares))
	var seen [MaxShares + 1]bool
	for i, share := range shares {
		b := share.Reveal()
		if len(b) != size {
			return nil, fmt.Errorf("%w: they differ in length", ErrShares)
		}
		x := b[size-1]
		if x == 0 || seen[x] {
			return nil, fmt.Errorf("%w: two are of the same point, or one is of none", ErrShares)
		}
		seen[x] = true
		points[i] = x
	}
	return points, nil
}

// evaluate returns the value at x of the polynomial whose coefficients are given,
// lowest first (Horner's rule).
func evaluate(coefficients []byte, x byte) byte {
	var y byte
	for i := len(coefficients) - 1; i >= 0; i-- {
		y = mul(y, x) ^ coefficients[i]
	}
	return y
}

// weightsAtZero returns, for each point, the value at zero of the Lagrange
// polynomial that is one there and zero at the other points.
func weightsAtZero(points []byte) []byte {
	weights := make([]byte, len(points))
	for i, xi := range points {
		w := byte(1)
		for j, xj := range points {
			if i != j {
				w = mul(w, mul(xj, inverse(xi^xj)))
			}
		}
		weights[i] = w
	}
	return weights
}
