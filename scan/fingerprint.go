package scan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// engineVersion changes with every change of the engine that can change what is
// found.
const engineVersion = 1

// Fingerprint names what the scanner finds: two with the same rules and options
// have the same one. What one has seen to be clean, the other need not look at.
func (s *Scanner) Fingerprint() string {
	data := make([]any, 0, len(s.rules)+2)
	o := s.opts
	o.Rules, o.Workers = nil, 0
	data = append(data, engineVersion, o)
	for _, r := range s.rules {
		data = append(data, r.data)
	}
	text, err := json.Marshal(data)
	if err != nil {
		panic("scan: internal error: rules and options are plain data")
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}
