package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cofferhq/coffer/api"
)

// columnGap is what stands between columns.
const columnGap = "    "

// layout aligns rows, of which the first is the heading. What is empty becomes
// "n/a"; the last column is not padded.
func layout(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(orNA(cell)))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		writeRow(&b, row, widths)
		if n == 0 {
			writeRow(&b, underline(row), widths)
		}
	}
	return b.String()
}

func writeRow(b *strings.Builder, row []string, widths []int) {
	for i, cell := range row {
		cell = orNA(cell)
		b.WriteString(cell)
		if i < len(row)-1 {
			b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)) + columnGap)
		}
	}
	b.WriteByte('\n')
}

func underline(heading []string) []string {
	line := make([]string, len(heading))
	for i, h := range heading {
		line[i] = strings.Repeat("-", utf8.RuneCountInString(h))
	}
	return line
}

func orNA(cell string) string {
	if cell == "" {
		return "n/a"
	}
	return cell
}

// row is a line of a table of keys and values.
type row struct {
	key   string
	value any
}

// printPlainRows prints rows without a heading.
func (c *Call) printPlainRows(rows []row) {
	width := 0
	for _, r := range rows {
		width = max(width, utf8.RuneCountInString(r.key))
	}
	var b strings.Builder
	for _, r := range rows {
		writeRow(&b, []string{r.key, fmt.Sprint(r.value)}, []int{width, 0})
	}
	fmt.Fprint(c.Stdout, b.String())
}

// printRows prints nothing if there are no rows.
func (c *Call) printRows(key, value string, rows []row) {
	if len(rows) == 0 {
		return
	}
	lines := [][]string{{key, value}}
	for _, r := range rows {
		lines = append(lines, []string{r.key, fmt.Sprint(r.value)})
	}
	fmt.Fprint(c.Stdout, layout(lines))
}

func (c *Call) printColumn(heading string, cells []any) {
	lines := [][]string{{heading}}
	for _, cell := range cells {
		lines = append(lines, []string{fmt.Sprint(cell)})
	}
	fmt.Fprint(c.Stdout, layout(lines))
}

// dataRows are sorted by key.
func dataRows(data map[string]any) []row {
	rows := make([]row, 0, len(data))
	for _, k := range slices.Sorted(maps.Keys(data)) {
		v := data[k]
		if isDurationKey(k) {
			v = durationCell(v)
		}
		rows = append(rows, row{k, v})
	}
	return rows
}

func secretRows(s *api.Secret) []row {
	var rows []row
	switch {
	case s.LeaseID != "":
		rows = append(rows,
			row{"lease_id", s.LeaseID},
			row{"lease_duration", seconds(s.LeaseDuration)},
			row{"lease_renewable", s.Renewable})
	case s.LeaseDuration > 0:
		// Without an id there is nothing to renew: it tells when to look again.
		rows = append(rows, row{"refresh_interval", seconds(s.LeaseDuration)})
	}
	if s.Auth != nil {
		rows = append(rows, authRows(s.Auth)...)
	}
	if s.WrapInfo != nil {
		rows = append(rows, wrapRows(s.WrapInfo)...)
	}
	return append(rows, dataRows(s.Data)...)
}

func authRows(a *api.Auth) []row {
	duration := seconds(a.LeaseDuration)
	if a.LeaseDuration == 0 {
		duration = "∞"
	}
	rows := []row{
		{"token", a.ClientToken},
		{"token_accessor", a.Accessor},
		{"token_duration", duration},
		{"token_renewable", a.Renewable},
		{"token_policies", quoted(a.TokenPolicies)},
		{"identity_policies", quoted(a.IdentityPolicies)},
		{"policies", quoted(a.Policies)},
	}
	for _, k := range slices.Sorted(maps.Keys(a.Metadata)) {
		rows = append(rows, row{"token_meta_" + k, a.Metadata[k]})
	}
	return rows
}

func wrapRows(w *api.WrapInfo) []row {
	rows := []row{
		{"wrapping_token:", w.Token},
		{"wrapping_accessor:", w.Accessor},
		{"wrapping_token_ttl:", seconds(w.TTL)},
		{"wrapping_token_creation_time:", w.CreationTime},
		{"wrapping_token_creation_path:", w.CreationPath},
	}
	if w.WrappedAccessor != "" {
		rows = append(rows, row{"wrapped_accessor:", w.WrappedAccessor})
	}
	return rows
}

func quoted(list []string) string { return fmt.Sprintf("%q", list) }

// isDurationKey says whether numbers under the key are seconds.
func isDurationKey(key string) bool {
	for _, word := range []string{"ttl", "period", "duration"} {
		if key == word || strings.HasSuffix(key, "_"+word) {
			return true
		}
	}
	return key == "lease_max" || key == "ttl_max"
}

// durationCell leaves alone what is no whole number.
func durationCell(v any) any {
	n, ok := v.(json.Number)
	if !ok {
		return v
	}
	i, err := n.Int64()
	if err != nil || i > int64(1<<62/time.Second) || i < 0 {
		return v
	}
	return seconds(int(i))
}

// seconds writes a duration without the zeros at its end: 1h, not 1h0m0s.
func seconds(n int) string {
	if n == 0 {
		return "0s"
	}
	text := (time.Duration(n) * time.Second).String()
	if s, ok := strings.CutSuffix(text, "m0s"); ok {
		text = s + "m"
	}
	if s, ok := strings.CutSuffix(text, "h0m"); ok {
		text = s + "h"
	}
	return text
}

// secretField finds what -field names in an answer: its own fields by the names
// that tables give them, else its data.
func secretField(s *api.Secret, name string) (any, bool) {
	if s.Auth != nil {
		switch name {
		case "token":
			return s.Auth.ClientToken, true
		case "token_duration":
			return s.Auth.LeaseDuration, true
		case "token_policies":
			return s.Auth.TokenPolicies, true
		case "policies":
			return s.Auth.Policies, true
		case "identity_policies":
			return s.Auth.IdentityPolicies, true
		}
		for _, r := range authRows(s.Auth) {
			if r.key == name {
				return r.value, true
			}
		}
	}
	if s.WrapInfo != nil {
		for _, r := range wrapRows(s.WrapInfo) {
			if strings.TrimSuffix(r.key, ":") == name || r.key == name {
				return r.value, true
			}
		}
	}
	if v, ok := s.Data[name]; ok {
		return v, true
	}
	switch name {
	case "lease_id":
		return s.LeaseID, true
	case "lease_duration", "refresh_interval":
		return s.LeaseDuration, true
	case "lease_renewable":
		return s.Renewable, true
	case "request_id":
		return s.RequestID, true
	case "data":
		return s.Data, s.Data != nil
	}
	return nil, false
}
