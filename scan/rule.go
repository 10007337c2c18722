package scan

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/cofferhq/coffer/scan/rules"
)

// rule is a rule with what is compiled of it, when it is first needed.
type rule struct {
	data  rules.Rule
	order int

	once    sync.Once // makes the fields below
	shape   *shape    // of Token or Value
	pattern *regexp.Regexp
	path    *regexp.Regexp
	allow   []allow
	broken  error
}

type allow struct {
	data            *rules.Allow
	paths, patterns []*regexp.Regexp
}

// checkRule says what is wrong with a rule, as far as can be seen without compiling.
func checkRule(r *rules.Rule) error {
	ways := 0
	for _, set := range []bool{r.Token != "", r.Value != "", r.Pattern != "", r.Parser != ""} {
		if set {
			ways++
		}
	}
	switch {
	case r.ID == "":
		return errors.New("a rule has no id")
	case ways != 1:
		return fmt.Errorf("rule %q: want exactly one of token, value, pattern and parser", r.ID)
	case len(r.Keywords) == 0 && len(r.Files) == 0 && r.Path == "":
		return fmt.Errorf("rule %q: want keywords, or files to look in", r.ID)
	case slices.ContainsFunc(r.Keywords, func(k string) bool { return len(k) < 3 }):
		return fmt.Errorf("rule %q: a keyword has less than three bytes", r.ID)
	case r.Parser != "" && readerOf(r.Parser) == nil:
		return fmt.Errorf("rule %q: no parser %q", r.ID, r.Parser)
	}
	return nil
}

// ready compiles the rule. It says whether the rule can be used.
func (r *rule) ready() bool {
	r.once.Do(func() { r.broken = r.compile() })
	return r.broken == nil
}

func (r *rule) compile() error {
	var err error
	switch {
	case r.data.Token != "":
		r.shape, err = compileShape(r.data.Token)
	case r.data.Value != "":
		r.shape, err = compileShape("(?:" + r.data.Value + ")$")
	case r.data.Pattern != "":
		r.pattern, err = regexp.Compile(r.data.Pattern)
	}
	if err == nil && r.data.Path != "" {
		r.path, err = regexp.Compile(r.data.Path)
	}
	for i := range r.data.Allow {
		a := allow{data: &r.data.Allow[i]}
		var errPaths, errPatterns error
		a.paths, errPaths = compileAll(a.data.Paths)
		a.patterns, errPatterns = compileAll(a.data.Patterns)
		err = errors.Join(err, errPaths, errPatterns)
		r.allow = append(r.allow, a)
	}
	if err != nil {
		return fmt.Errorf("rule %q: %w", r.data.ID, err)
	}
	return nil
}

func compileAll(exprs []string) ([]*regexp.Regexp, error) {
	var out []*regexp.Regexp
	for _, e := range exprs {
		re, err := regexp.Compile(e)
		if err != nil {
			return nil, err
		}
		out = append(out, re)
	}
	return out, nil
}

// appliesTo says whether the rule looks into files of this path.
func (r *rule) appliesTo(p *place) bool {
	if len(r.data.Files) > 0 && !slices.ContainsFunc(r.data.Files, func(pattern string) bool {
		ok, err := path.Match(strings.ToLower(pattern), p.base)
		return ok && err == nil
	}) {
		return false
	}
	return r.data.Path == "" || (r.ready() && r.path.MatchString(p.path))
}

// allows says whether one of the rule's own exceptions applies.
func (r *rule) allows(p *place, secret, match, line string) bool {
	return slices.ContainsFunc(r.allow, func(a allow) bool {
		target := secret
		switch a.data.Target {
		case rules.TargetMatch:
			target = match
		case rules.TargetLine:
			target = line
		}
		matches := func(res []*regexp.Regexp, text string) bool {
			return slices.ContainsFunc(res, func(re *regexp.Regexp) bool { return re.MatchString(text) })
		}
		low := strings.ToLower(secret)
		conditions := []struct{ set, met bool }{
			{len(a.paths) > 0, matches(a.paths, p.path)},
			{len(a.patterns) > 0, matches(a.patterns, target)},
			{len(a.data.StopWords) > 0, slices.ContainsFunc(a.data.StopWords, func(w string) bool { return strings.Contains(low, strings.ToLower(w)) })},
			{len(a.data.Commits) > 0, false}, // known to sources only, which look again
		}
		any, every := false, true
		for _, c := range conditions {
			any = any || (c.set && c.met)
			every = every && (!c.set || c.met)
		}
		return any && (every || !a.data.All)
	})
}

// blanks says whether values of the rule have blanks in them.
func (r *rule) blanks() bool {
	return strings.Contains(r.data.Value, " ") || strings.Contains(r.data.Value, `\s`)
}

func (r *rule) base() float64 {
	switch {
	case r.data.Base != 0:
		return r.data.Base
	case r.data.Token != "":
		return 0.9
	}
	return 0.8
}
