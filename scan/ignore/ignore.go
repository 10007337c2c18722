// Package ignore leaves findings out that are known: those that an ignore file
// names by their place, and those of a baseline, which knows them by what they are.
// It reads what coffer, gitleaks and detect-secrets write. It judges nothing, and
// package scan knows nothing of it.
//
// Start reading at [List].
package ignore

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/cofferhq/coffer/scan"
)

// List is what is known. The zero value knows nothing. It must not be added to
// while Has is called.
type List struct {
	places    map[string]bool // fingerprints, with and without a commit
	baselines []baseline
}

// baseline says whether a finding is one of those that it was made of.
type baseline interface{ has(f scan.Finding) bool }

// Has says whether a finding is known.
func (l *List) Has(f scan.Finding) bool {
	if len(l.places) > 0 {
		place := cleanPlace(placeOf(f))
		if l.places[place] || (f.Commit != nil && l.places[f.Commit.ID+":"+place]) {
			return true
		}
	}
	for _, b := range l.baselines {
		if b.has(f) {
			return true
		}
	}
	return false
}

// Fingerprint is how an ignore file names a finding: PATH:RULE:LINE, in a history
// COMMIT:PATH:RULE:LINE.
func Fingerprint(f scan.Finding) string {
	if f.Commit != nil {
		return f.Commit.ID + ":" + placeOf(f)
	}
	return placeOf(f)
}

func placeOf(f scan.Finding) string {
	return fmt.Sprintf("%s:%s:%d", f.Path, f.RuleID, f.Start.Line)
}

// cleanPlace makes one of the forms in which people write a path.
func cleanPlace(place string) string { return path.Clean(strings.ReplaceAll(place, `\`, "/")) }

// lazily compiles an expression when it is first needed: most runs of the program
// read no such file.
func lazily(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

var (
	commitPlace = lazily(`^([0-9a-f]{40}|[0-9a-f]{64}):(.+:[^:]+:[0-9]+)$`)
	barePlace   = lazily(`^.+:[^:]+:[0-9]+$`)
)

// maxLine bounds a line of an ignore file or a baseline.
const maxLine = 64 << 10

// ReadPlaces reads an ignore file: a fingerprint a line; lines that begin with # are
// comments. It returns the numbers of lines that are neither.
func (l *List) ReadPlaces(r io.Reader) (strange []int, err error) {
	if l.places == nil {
		l.places = map[string]bool{}
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\uFEFF"))
		switch m := commitPlace().FindStringSubmatch(line); {
		case line == "" || line[0] == '#':
		case m != nil:
			l.places[m[1]+":"+cleanPlace(m[2])] = true
		case barePlace().MatchString(line):
			l.places[cleanPlace(line)] = true
		default:
			strange = append(strange, n)
		}
	}
	return strange, lines.Err()
}
