package template

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"unicode"
)

// textFunctions take the text last, so that it can come through a pipe.
var textFunctions = template.FuncMap{
	"join":            func(sep string, list any) (string, error) { return join(sep, list) },
	"split":           func(sep, s string) []string { return split(sep, s) },
	"trim":            func(cutset, s string) string { return strings.Trim(s, cutset) },
	"trimPrefix":      func(prefix, s string) string { return strings.TrimPrefix(s, prefix) },
	"trimSuffix":      func(suffix, s string) string { return strings.TrimSuffix(s, suffix) },
	"trimSpace":       strings.TrimSpace,
	"toUpper":         strings.ToUpper,
	"toLower":         strings.ToLower,
	"toTitle":         title,
	"indent":          indent,
	"replaceAll":      func(old, with, s string) string { return strings.ReplaceAll(s, old, with) },
	"regexReplaceAll": regexReplaceAll,
	"regexMatch":      regexMatch,
	"contains":        contains,
	"in":              func(list, value any) (bool, error) { return contains(value, list) },
	"containsAll":     func(values, list any) (bool, error) { return containsSome(values, list, isAll) },
	"containsAny":     func(values, list any) (bool, error) { return containsSome(values, list, isAny) },
	"containsNone":    func(values, list any) (bool, error) { return containsSome(values, list, isNone) },
	"containsNotAll":  func(values, list any) (bool, error) { return containsSome(values, list, isNotAll) },
}

// join takes a list of anything that is text in JSON.
func join(sep string, list any) (string, error) {
	if texts, ok := list.([]string); ok {
		return strings.Join(texts, sep), nil
	}
	items, err := listOf(list)
	if err != nil {
		return "", err
	}
	texts := make([]string, len(items))
	for i, item := range items {
		if texts[i], err = plain(item); err != nil {
			return "", err
		}
	}
	return strings.Join(texts, sep), nil
}

func split(sep, s string) []string {
	if s = strings.TrimSpace(s); s == "" {
		return []string{}
	}
	return strings.Split(s, sep)
}

func title(s string) string {
	before := ' '
	return strings.Map(func(r rune) rune {
		first := !unicode.IsLetter(before) && !unicode.IsDigit(before) && before != '_' && before != '\''
		before = r
		if first {
			return unicode.ToTitle(r)
		}
		return r
	}, s)
}

// maxIndent bounds what indent and the like put before each line.
const maxIndent = 1024

func indent(spaces int, s string) (string, error) {
	if spaces < 0 || spaces > maxIndent {
		return "", fmt.Errorf("want 0 to %d spaces", maxIndent)
	}
	pad := strings.Repeat(" ", spaces)
	return pad + strings.ReplaceAll(s, "\n", "\n"+pad), nil
}

func regexReplaceAll(re, with, s string) (string, error) {
	compiled, err := compile(re)
	if err != nil {
		return "", err
	}
	return compiled.ReplaceAllString(s, with), nil
}

func regexMatch(re, s string) (bool, error) {
	compiled, err := compile(re)
	if err != nil {
		return false, err
	}
	return compiled.MatchString(s), nil
}

func compile(re string) (*regexp.Regexp, error) {
	compiled, err := regexp.Compile(re)
	if err != nil {
		return nil, errors.New("malformed regular expression") // the cause quotes it
	}
	return compiled, nil
}

// contains says whether a list has a value, or a text another.
func contains(value, list any) (bool, error) {
	if text, ok := list.(string); ok {
		part, err := plain(value)
		return err == nil && strings.Contains(text, part), err
	}
	items, err := listOf(list)
	if err != nil {
		return false, err
	}
	wanted, err := plain(value)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(items, func(item any) bool {
		text, err := plain(item)
		return err == nil && text == wanted
	}), nil
}

// Judgements of how many of the values are in a list.
func isAll(found, of int) bool    { return found == of }
func isAny(found, _ int) bool     { return found > 0 }
func isNone(found, _ int) bool    { return found == 0 }
func isNotAll(found, of int) bool { return found < of }

func containsSome(values, list any, judge func(found, of int) bool) (bool, error) {
	items, err := listOf(values)
	if err != nil {
		return false, err
	}
	found := 0
	for _, item := range items {
		ok, err := contains(item, list)
		if err != nil {
			return false, err
		}
		if ok {
			found++
		}
	}
	return judge(found, len(items)), nil
}
