package token_test

import (
	"errors"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/token"
)

func TestBatchTokensAreAskedAboutAndServiceTokensAreNot(t *testing.T) {
	w := newWorld(t)
	var asked []string
	trouble := errors.New("nobody knows")
	w.CheckBatch(func(tok *token.Token) error {
		asked = append(asked, tok.Path)
		switch tok.Path {
		case "auth/gone/login":
			return token.ErrUnknown
		case "auth/odd/login":
			return trouble
		}
		return nil
	})
	tests := []struct {
		name, path string
		kind       logical.TokenType
		want       error
		asks       bool
	}{
		{"one that is good", "auth/here/login", logical.TokenBatch, nil, true},
		{"one that is void", "auth/gone/login", logical.TokenBatch, token.ErrUnknown, true},
		{"one that nobody can tell of", "auth/odd/login", logical.TokenBatch, trouble, true},
		{"a service token", "auth/gone/login", logical.TokenService, nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			asked = nil
			text := w.create(&token.Token{Type: test.kind, Path: test.path}, "")
			_, err := w.Lookup(t.Context(), ns, text, w.now)
			if !errors.Is(err, test.want) || (len(asked) > 0) != test.asks {
				t.Errorf("%v, asked about %q", err, asked)
			}
		})
	}
}
