package template

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"text/template"
)

// dataFunctions work on maps and lists.
var dataFunctions = template.FuncMap{
	"explode":              explode,
	"explodeMap":           explodeMap,
	"mergeMap":             func(into, from map[string]any) map[string]any { return merge(into, from, keepOld) },
	"mergeMapWithOverride": func(into, from map[string]any) map[string]any { return merge(into, from, takeNew) },
	"loop":                 loop,
}

// listOf returns the items of a list of any kind.
func listOf(list any) ([]any, error) {
	if list == nil {
		return nil, nil
	}
	v := reflect.ValueOf(list)
	if v.Kind() != reflect.Slice && v.Kind() != reflect.Array {
		return nil, fmt.Errorf("want a list, not %s", v.Kind())
	}
	items := make([]any, v.Len())
	for i := range items {
		items[i] = v.Index(i).Interface()
	}
	return items, nil
}

// explode makes nested maps of one whose keys are paths: {"a/b": 1} is
// {"a": {"b": 1}}.
func explode(flat map[string]any) (map[string]any, error) {
	out := map[string]any{}
	for _, path := range slices.Sorted(maps.Keys(flat)) {
		at, parts := out, strings.Split(strings.Trim(path, "/"), "/")
		for _, part := range parts[:len(parts)-1] {
			if at[part] == nil {
				at[part] = map[string]any{}
			}
			inner, ok := at[part].(map[string]any)
			if !ok {
				return nil, errors.New("a key is both a value and a folder")
			}
			at = inner
		}
		at[parts[len(parts)-1]] = flat[path]
	}
	return out, nil
}

// explodeMap is explode that goes into maps, too.
func explodeMap(flat map[string]any) (map[string]any, error) {
	inner := map[string]any{}
	for k, v := range flat {
		if m, ok := v.(map[string]any); ok {
			exploded, err := explodeMap(m)
			if err != nil {
				return nil, err
			}
			v = exploded
		}
		inner[k] = v
	}
	return explode(inner)
}

// Judgements of which value stays if both maps have the key.
func keepOld(old, _ any) any { return old }
func takeNew(_, new any) any { return new }

// merge returns a new map: what a secret holds is others' too.
func merge(into, from map[string]any, choose func(old, new any) any) map[string]any {
	out := maps.Clone(into)
	if out == nil {
		out = map[string]any{}
	}
	for k, v := range from {
		old, both := out[k]
		oldMap, isMap := old.(map[string]any)
		newMap, areMaps := v.(map[string]any)
		switch {
		case isMap && areMaps:
			out[k] = merge(oldMap, newMap, choose)
		case both:
			out[k] = choose(old, v)
		default:
			out[k] = v
		}
	}
	return out
}

// maxLoop bounds what loop counts.
const maxLoop = 1 << 20

// loop counts from zero, or from the first number, to below the last one.
func loop(bounds ...any) ([]int, error) {
	if len(bounds) == 0 || len(bounds) > 2 {
		return nil, errors.New("want one number or two")
	}
	var n [2]int64
	for i, b := range bounds {
		v, err := numberOf(b)
		if err != nil || v.isFloat {
			return nil, errors.New("want whole numbers")
		}
		n[2-len(bounds)+i] = v.whole
	}
	if n[1] < n[0] {
		return nil, nil
	}
	if n[1]-n[0] > maxLoop || n[1]-n[0] < 0 {
		return nil, fmt.Errorf("counts more than %d", maxLoop)
	}
	all := make([]int, 0, n[1]-n[0])
	for i := n[0]; i < n[1]; i++ {
		all = append(all, int(i))
	}
	return all, nil
}
