package token

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/storage"
)

// batch is what a batch token carries, sealed, in its text. The key is the
// cluster's own, so another cluster can't open it.
type batch struct {
	Namespace  string `json:"ns"`
	Generation uint64 `json:"gen"` // of the cluster, when the token was made
	*Token
}

// Batch tokens of before have the version further back, which is read, too.
var batchForm = storage.Form[batch]{Name: "batch token", Version: 1}

// bodyEncoding is strict, so that no two texts are one token.
var bodyEncoding = base64.RawURLEncoding.Strict()

func isBatch(text string) bool { return strings.HasPrefix(text, prefixBatch) }

func (s *Store) sealBatch(t *Token) (string, error) {
	plain, err := batchForm.Encode(&batch{Namespace: t.Namespace, Generation: s.keys.Generation(), Token: t})
	if err != nil {
		return "", err
	}
	blob, err := s.keys.Encrypt(barrier.PurposeBatch, plain, nil)
	if err != nil {
		return "", err
	}
	return checked(prefixBatch + bodyEncoding.EncodeToString(blob)), nil
}

// openBatch returns the token in text if it is ours, of that namespace and this
// generation, alive at now and not void, and its parent, if it has one, lives too.
func (s *Store) openBatch(ctx context.Context, ns, text string, now time.Time) (*Token, error) {
	if !WellFormed(text) {
		return nil, ErrUnknown
	}
	blob, err := bodyEncoding.DecodeString(text[len(prefixBatch) : len(text)-checkChars])
	if err != nil {
		return nil, ErrUnknown
	}
	plain, err := s.keys.Decrypt(barrier.PurposeBatch, blob, nil)
	if errors.Is(err, barrier.ErrDecrypt) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	b := batch{Token: &Token{}}
	if err := batchForm.Decode(plain, &b); err != nil {
		return nil, ErrUnknown
	}
	if b.Namespace != ns || b.Generation != s.keys.Generation() || !now.Before(b.Expires) {
		return nil, ErrUnknown
	}
	t := b.Token
	t.Namespace = ns
	if s.void != nil {
		if err := s.void(t); err != nil {
			return nil, err
		}
	}
	if t.Parent != "" {
		if _, err := s.ByID(ctx, ns, t.Parent, now); err != nil {
			return nil, err
		}
	}
	return t, nil
}
