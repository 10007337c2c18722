package database

import (
	"encoding/json"

	"github.com/cofferhq/coffer/internal/secret"
)

// kept is a secret as records hold it, which the store's barrier seals. In all
// else it is as shy as the secret in it.
type kept struct{ secret.Bytes }

func keepText(text string) kept { return kept{secret.Text(text)} }

// IsZero is for encoding/json.
func (k kept) IsZero() bool { return k.Empty() }

// MarshalJSON is for records only.
func (k kept) MarshalJSON() ([]byte, error) { return json.Marshal(k.RevealText()) }

// UnmarshalJSON reads what MarshalJSON has written.
func (k *kept) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	*k = keepText(text)
	return nil
}
