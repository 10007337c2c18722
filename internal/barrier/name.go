package barrier

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cofferhq/coffer/internal/storage"
)

// In the store below, a key is dataPrefix and then the segments of the key as
// the barrier's user has it, where each name is replaced by 'n' and hiddenBytes
// bytes: a MAC of the hidden key so far and the segment. Plain segments and
// orders stay. As the length is fixed, every such key reads in one way only.
const (
	hiddenMark  = 'n'
	hiddenBytes = 16 // so long that names do not meet by chance or by design
)

// bound is what [storage.After] adds.
var bound = storage.After("")

// errKey says that a key of the caller's cannot be translated.
var errKey = fmt.Errorf("barrier: malformed key: %w", storage.ErrInvalid)

// errHidden says that a key in the store below is none of ours.
var errHidden = errors.New("barrier: malformed hidden key")

// hide returns the hidden key of key, which is of whole segments.
func (k *keys) hide(key string) (string, error) {
	return k.hideBelow(append(make([]byte, 0, 128), dataPrefix...), key)
}

// Below returns what a key, or the beginning of one, is in the store below a barrier
// if it has no names in it.
func Below(key string) string { return dataPrefix + key }

// hideBound is hide for a bound of a range, which need not be a key.
func (k *keys) hideBound(key string) (string, error) {
	if key == "" {
		return "", nil
	}
	below, after := strings.CutSuffix(key, bound)
	if !after {
		return k.hide(key)
	}
	hidden, err := k.hide(below)
	if err != nil { // the last byte belonged to an order
		return k.hide(key)
	}
	return storage.After(hidden), nil
}

func (k *keys) hideBelow(hidden []byte, key string) (string, error) {
	for key != "" {
		seg, rest, err := storage.Cut(key)
		if err != nil || seg.Raw == bound {
			return "", errKey
		}
		if seg.Hidden() {
			parent := hidden
			hidden = append(hidden, hiddenMark)
			hidden = k.names.appendName(hidden, parent, seg.Raw)
		} else {
			hidden = append(hidden, seg.Raw...)
		}
		key = rest
	}
	return string(hidden), nil
}

// reveal returns the key that hidden stands for, given the names in it: their
// raw segments, one after another.
func reveal(hidden, names string) (string, error) {
	hidden, ok := strings.CutPrefix(hidden, dataPrefix)
	if !ok {
		return "", errHidden
	}
	var key strings.Builder
	key.Grow(len(hidden) + len(names))
	for hidden != "" {
		seg, rest, isName, err := cutHidden(hidden)
		if err != nil {
			return "", err
		}
		if isName {
			name, more, err := storage.Cut(names)
			if err != nil || !name.Hidden() {
				return "", errHidden
			}
			seg, names = name.Raw, more
		}
		key.WriteString(seg)
		hidden = rest
	}
	if names != "" {
		return "", errHidden
	}
	return key.String(), nil
}

// cutHidden splits the first segment off a hidden key, which has no dataPrefix.
func cutHidden(hidden string) (seg, rest string, isName bool, err error) {
	if hidden[0] == hiddenMark {
		if len(hidden) < 1+hiddenBytes {
			return "", "", false, errHidden
		}
		return hidden[:1+hiddenBytes], hidden[1+hiddenBytes:], true, nil
	}
	s, rest, err := storage.Cut(hidden)
	if err != nil || s.Raw == bound {
		return "", "", false, errHidden
	}
	return s.Raw, rest, false, nil
}
