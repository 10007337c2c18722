package ignore

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/cofferhq/coffer/scan"
)

// ReadBaseline adds a baseline: coffer's, a JSON report of gitleaks or of coffer, or
// detect-secrets' .secrets.baseline.
func (l *List) ReadBaseline(data []byte) error {
	text := bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\uFEFF")))
	var b baseline
	var err error
	switch {
	case bytes.HasPrefix(text, []byte("[")):
		b, err = parseReport(text)
	case bytes.HasPrefix(text, []byte("{")):
		b, err = parseDetectSecrets(text)
	default:
		b, err = ParseBaseline(text)
	}
	if err != nil {
		return err
	}
	l.baselines = append(l.baselines, b)
	return nil
}

// report is a list of findings in JSON. Secrets that were masked in it are known by
// their places only.
type report struct {
	secrets map[string]bool
	places  List
}

func (r *report) has(f scan.Finding) bool {
	return r.secrets[f.Secret.Reveal()] || r.places.Has(f)
}

func parseReport(text []byte) (*report, error) {
	var findings []struct {
		RuleID, File, Commit, Secret, Fingerprint string
		StartLine                                 int
	}
	if err := json.Unmarshal(text, &findings); err != nil {
		return nil, jsonError("a report of findings", err)
	}
	r := &report{secrets: map[string]bool{}, places: List{places: map[string]bool{}}}
	for _, f := range findings {
		if f.Secret != "" && !isMasked(f.Secret) {
			r.secrets[f.Secret] = true
			continue
		}
		place := cleanPlace(fmt.Sprintf("%s:%s:%d", f.File, f.RuleID, f.StartLine))
		if f.Commit != "" {
			place = f.Commit + ":" + place
		}
		r.places.places[place] = true
	}
	return r, nil
}

// isMasked says whether a report holds something in place of the secret.
func isMasked(secret string) bool {
	return secret == "REDACTED" || strings.HasSuffix(secret, "...") || strings.HasSuffix(secret, "********")
}

// sums are the SHA-1 of secrets, in hexadecimal.
type sums map[string]bool

// has knows the sums themselves, too: the file that has them is searched like others.
func (s sums) has(f scan.Finding) bool {
	secret := f.Secret.Reveal()
	sum := sha1.Sum([]byte(secret))
	return s[hex.EncodeToString(sum[:])] || s[secret]
}

func parseDetectSecrets(text []byte) (sums, error) {
	var file struct {
		Results map[string][]struct {
			HashedSecret string `json:"hashed_secret"`
			IsSecret     *bool  `json:"is_secret"`
		} `json:"results"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, jsonError("a baseline of detect-secrets", err)
	}
	if file.Results == nil {
		return nil, errors.New("a JSON object without results: not a baseline")
	}
	s := sums{}
	for _, found := range file.Results {
		for _, f := range found {
			if f.IsSecret != nil && *f.IsSecret { // somebody looked, and it is one
				continue
			}
			s[strings.ToLower(f.HashedSecret)] = true
		}
	}
	return s, nil
}

// jsonError leaves out what package json says of values, which may be secrets.
func jsonError(what string, err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("not %s: no JSON from byte %d on", what, syntax.Offset)
	}
	return fmt.Errorf("not %s: its fields have other types", what)
}
