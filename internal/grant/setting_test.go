package grant

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/logical"
)

// record is one as auth methods have.
type record struct {
	Bind bool
	Token
}

func recordSettings() Settings[record] {
	bind := Flag("bind", "Bound; true if absent.", func(o *record) *bool { return &o.Bind })
	bind.Reset = func(o *record) { o.Bind = true }
	return append(Settings[record]{bind}, TokenSettings(
		func(o *record) *Token { return &o.Token },
		map[string]string{"token_policies": "policies", "token_bound_cidrs": "bound_cidrs"},
	)...)
}

// asked returns a request for settings with a body.
func asked(t *testing.T, all Settings[record], body string) *logical.Request {
	t.Helper()
	r := &logical.Request{Body: json.RawMessage(body)}
	if err := r.Accept(all.Fields(), nil, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// told returns what settings tell of o and is not the default.
func told(all Settings[record], o *record) map[string]any {
	data, unset := map[string]any{}, map[string]any{}
	all.Tell(o, data)
	all.Tell(&record{}, unset)
	maps.DeleteFunc(data, func(name string, value any) bool { return cmp.Equal(value, unset[name]) })
	return data
}

func TestSettingsAreReadAsTheyWereWritten(t *testing.T) {
	tests := []struct {
		name, body string
		want       map[string]any
	}{
		{"nothing", `{}`, map[string]any{}},
		{"policies in order, in lower case, once", `{"token_policies": "b,A,a"}`, map[string]any{"token_policies": []string{"a", "b"}}},
		{"durations in seconds", `{"token_ttl": "1m", "token_max_ttl": 120, "token_explicit_max_ttl": "1h", "token_period": "1500ms"}`,
			map[string]any{"token_ttl": int64(60), "token_max_ttl": int64(120), "token_explicit_max_ttl": int64(3600), "token_period": int64(1)}},
		{"networks as they are", `{"token_bound_cidrs": ["10.1.2.3", "10.1.2.3/8"]}`, map[string]any{"token_bound_cidrs": []string{"10.1.2.3", "10.1.2.3/8"}}},
		{"a number and flags", `{"token_num_uses": "3", "token_no_default_policy": true, "bind": 1}`,
			map[string]any{"token_num_uses": 3, "token_no_default_policy": true, "bind": true}},
		{"a type", `{"token_type": "batch"}`, map[string]any{"token_type": "batch"}},
		{"the default type", `{"token_type": "default"}`, map[string]any{}},
		{"an older name, under both", `{"policies": "a"}`, map[string]any{"policies": []string{"a"}, "token_policies": []string{"a"}}},
		{"both names, the newer wins", `{"policies": "a", "token_policies": "b"}`, map[string]any{"token_policies": []string{"b"}}},
	}
	all := recordSettings()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := &record{}
			if err := all.Take(o, asked(t, all, test.body)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, told(all, o)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestListsAreNeverNull(t *testing.T) {
	data := map[string]any{}
	all := recordSettings()
	all.Tell(&record{}, data)
	for _, name := range []string{"token_policies", "token_bound_cidrs"} {
		if diff := cmp.Diff([]string{}, data[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestWhatASettingCannotBeIsRefused(t *testing.T) {
	all := recordSettings()
	for body, want := range map[string]string{
		`{"token_bound_cidrs": "10.0.0.0/8,x"}`:             `invalid CIDR blocks: "x" is not an address or a network`,
		`{"bound_cidrs": "x"}`:                              `invalid CIDR blocks: "x" is not an address or a network`,
		`{"token_type": "odd"}`:                             `invalid 'token_type' value "odd"`,
		`{"token_type": "odd", "token_bound_cidrs": ["x"]}`: `invalid CIDR blocks: "x" is not an address or a network`,
	} {
		o := &record{}
		if err := all.Take(o, asked(t, all, body)); !errors.Is(err, logical.ErrInvalid) || err.Error() != want {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
		if len(o.CIDRs) > 0 || o.Type != "" || len(o.OldNames) > 0 {
			t.Errorf("%s: set all the same: %+v", body, o)
		}
	}
}

func TestASettingIsTakenAlone(t *testing.T) {
	all := recordSettings()
	s, o := all.Named("policies"), &record{}
	if s != all.Named("token_policies") {
		t.Error("the older name is of another setting")
	}
	for body, want := range map[string]bool{`{"policies": "a"}`: true, `{"token_policies": ""}`: true, `{"token_ttl": 1}`: false} {
		if found, err := s.Take(o, asked(t, all, body)); found != want || err != nil {
			t.Errorf("%s: %t, error %v", body, found, err)
		}
	}
	if o.TTL != 0 {
		t.Error("another was set")
	}
}

func TestClearingGivesTheDefaultAndForgetsTheOlderName(t *testing.T) {
	all, o := recordSettings(), &record{}
	body := `{"policies": "a", "bound_cidrs": "::1", "token_ttl": 1, "token_num_uses": 2, "token_type": "batch", "token_no_default_policy": true}`
	if err := all.Take(o, asked(t, all, body)); err != nil {
		t.Fatal(err)
	}
	if want := []string{"policies", "bound_cidrs"}; !slices.Equal(o.OldNames, want) {
		t.Errorf("older names %q, want %q", o.OldNames, want)
	}
	all.Named("policies").Clear(o)
	if want := []string{"bound_cidrs"}; !slices.Equal(o.OldNames, want) {
		t.Errorf("older names %q, want %q", o.OldNames, want)
	}
	for i := range all {
		all[i].Clear(o)
	}
	if diff := cmp.Diff(map[string]any{"bind": true}, told(all, o)); diff != "" {
		t.Error(diff)
	}
}

func TestFieldsHaveHelpUnderBothNames(t *testing.T) {
	fields := recordSettings().Fields()
	if got := len(fields); got != 1+9+2 {
		t.Errorf("%d fields", got)
	}
	for name, f := range fields {
		if f.Help == "" {
			t.Errorf("%s has none", name)
		}
	}
	if got, want := fields["policies"], (logical.Field{Type: logical.Texts, Help: "Older name of token_policies."}); got != want {
		t.Errorf("got %+v", got)
	}
}

func TestASettingThatIsNotThereIsABug(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	recordSettings().Named("token_tll")
}
