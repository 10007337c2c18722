package config

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/stanza"
)

// value is a part of a configuration file, which the methods read as what a key
// wants. Null is as good as absent, and every scalar is a text.
type value stanza.Node

// objects returns the blocks that v is, or is a list of.
func (v value) objects() ([]value, error) {
	nodes, err := stanza.Node(v).Blocks()
	if err != nil {
		return nil, err
	}
	all := make([]value, len(nodes))
	for i, n := range nodes {
		all[i] = value(n)
	}
	return all, nil
}

func (v value) plain() (string, error) { return stanza.Node(v).Plain() }
func (v value) bool() (bool, error)    { return stanza.Node(v).Bool() }
func (v value) count() (int, error)    { return stanza.Node(v).Count() }

// duration reads what Vault takes for one; a bare number is in seconds.
func (v value) duration() (time.Duration, error) {
	s, err := v.plain()
	if err != nil {
		return 0, err
	}
	return logical.ParseDuration(s)
}

// units of bytes: decimal, and binary with an i, as Vault reads them.
var units = []struct {
	suffix string
	bytes  int64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12},
	{"b", 1}, {"", 1}, // last: it is a suffix of the others
}

// bytes reads a size: a number of bytes, or a number with a unit ("64MiB").
func (v value) bytes() (int64, error) {
	s, err := v.plain()
	if err != nil {
		return 0, err
	}
	s = strings.ToLower(strings.TrimSpace(s))
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n > math.MaxInt64/u.bytes || n < math.MinInt64/u.bytes {
			break
		}
		return n * u.bytes, nil
	}
	return 0, errors.New(`expected a size such as 1048576 or "64MiB"`)
}

// texts reads a list of texts, or one text with commas.
func (v value) texts() ([]string, error) {
	if s, err := v.plain(); err == nil {
		return split(s), nil
	}
	if v.Shape != stanza.List {
		return nil, errors.New("expected a list of texts")
	}
	texts := make([]string, 0, len(v.Items))
	for _, item := range v.Items {
		s, err := value(item).plain()
		if err != nil {
			return nil, errors.New("expected a list of texts")
		}
		texts = append(texts, s)
	}
	return texts, nil
}

// split returns what stands between the commas of s. Nothing is no text.
func split(s string) []string {
	texts := []string{}
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			texts = append(texts, part)
		}
	}
	return texts
}

// networks reads a list of networks ("10.0.0.0/8") and single addresses.
func (v value) networks() ([]netip.Prefix, error) {
	texts, err := v.texts()
	if err != nil {
		return nil, err
	}
	networks := make([]netip.Prefix, 0, len(texts))
	for _, s := range texts {
		p, err := network(s)
		if err != nil {
			return nil, fmt.Errorf("expected addresses or networks such as \"10.0.0.0/8\", got %q", s)
		}
		networks = append(networks, p)
	}
	return networks, nil
}

func network(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p.Masked(), err
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	a = a.Unmap().WithZone("")
	return a.Prefix(a.BitLen())
}

// mode reads the permissions of a file, in octal digits.
func (v value) mode() (fs.FileMode, error) {
	s, err := v.plain()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "0o"), 8, 32)
	if err != nil || n > 0o777 {
		return 0, errors.New(`expected permissions in octal digits, such as "0660"`)
	}
	return fs.FileMode(n), nil
}

// textMap reads an object of scalars.
func (v value) textMap() (map[string]string, error) {
	objects, err := v.objects()
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	for _, o := range objects {
		for _, e := range o.Entries {
			s, err := value(e.Value).plain()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", e.Key, err)
			}
			texts[e.Key] = s
		}
	}
	return texts, nil
}
