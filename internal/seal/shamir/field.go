package shamir

// The field GF(2^8) with the polynomial x^8 + x^4 + x^3 + x + 1 (0x11b), which is
// that of AES (FIPS 197 §4). Addition is XOR. Nothing here branches on, or looks
// up by, the values: neither time nor cache tells of them.

// mul returns a·b.
func mul(a, b byte) byte {
	var product byte
	for range 8 {
		product ^= a & -(b & 1)
		a = a<<1 ^ 0x1b&-(a>>7)
		b >>= 1
	}
	return product
}

// inverse returns a^254, which is 1/a, and 0 for 0.
func inverse(a byte) byte {
	result := byte(1)
	for range 7 { // 254 is 11111110 in binary
		a = mul(a, a)
		result = mul(result, a)
	}
	return result
}
