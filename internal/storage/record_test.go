package storage_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/storage"
)

type colour struct {
	ID   string         `json:"-"`
	Name string         `json:"name,omitempty"`
	RGB  map[string]int `json:"rgb,omitempty"`
}

var (
	plainForm = storage.Form[colour]{Name: "colour record"}
	firstForm = storage.Form[colour]{Name: "colour record", Version: 1}
	thirdForm = storage.Form[colour]{Name: "colour record", Version: 3, Upgrade: upgradeColour}
	namedForm = storage.Form[colour]{Name: "colour record", Version: 12, Member: "version"}
)

// upgradeColour reads the versions 1 and 2, in which the name had other names.
func upgradeColour(version int, record []byte, c *colour) error {
	var old struct {
		Called, Known string
	}
	if err := json.Unmarshal(record, &old); err != nil {
		return err
	}
	switch version {
	case 1:
		c.Name = old.Called
	case 2:
		c.Name = old.Known
	default:
		return errors.New("canary")
	}
	return nil
}

func TestARecordIsReadAsItsVersionSays(t *testing.T) {
	red := colour{ID: "1", Name: "red", RGB: map[string]int{"r": 255}}
	bare := colour{ID: "1", Name: "red"}
	for _, c := range []struct {
		name   string
		form   storage.Form[colour]
		record string
		want   colour
		err    error
	}{
		{"the version of today", firstForm, `{"v":1,"name":"red","rgb":{"r":255}}`, red, nil},
		{"nothing but the version", firstForm, `{"v":1}`, colour{ID: "1"}, nil},
		{"the version further back", firstForm, `{"name":"red","v":1}`, bare, nil},
		{"white space", firstForm, " {\n\"v\" : 1, \"name\": \"red\" }\n", bare, nil},
		{"an unknown member", firstForm, `{"v":1,"name":"red","of later versions":{"a":[]}}`, bare, nil},
		{"a version under another name", namedForm, `{"version":12,"name":"red"}`, bare, nil},
		{"none where none is borne", plainForm, `{"name":"red"}`, bare, nil},
		{"zero where none is borne", plainForm, `{"v":0,"name":"red"}`, bare, nil},
		{"an empty record where none is borne", plainForm, `{}`, colour{ID: "1"}, nil},
		{"an older version", thirdForm, `{"v":1,"called":"red"}`, bare, nil},
		{"a less old version", thirdForm, `{"v":2,"known":"red"}`, bare, nil},

		{"a newer version", firstForm, `{"v":2,"name":"canary"}`, colour{}, storage.ErrNewer},
		{"a newer version further back", firstForm, `{"name":"canary","v":2}`, colour{}, storage.ErrNewer},
		{"a newer version with a beginning like today's", firstForm, `{"v":10,"name":"canary"}`, colour{}, storage.ErrNewer},
		{"a version where none is borne", plainForm, `{"v":1,"name":"canary"}`, colour{}, storage.ErrNewer},
		{"an older version without an upgrade", namedForm, `{"version":11,"name":"canary"}`, colour{}, storage.ErrMalformed},
		{"an older version that the upgrade refuses", thirdForm, `{"v":0,"called":"canary"}`, colour{}, storage.ErrMalformed},
		{"no version", firstForm, `{"name":"canary"}`, colour{}, storage.ErrMalformed},
		{"a version that is a text", firstForm, `{"v":"1","name":"canary"}`, colour{}, storage.ErrMalformed},
		{"a version that is no whole number", firstForm, `{"v":1.0,"name":"canary"}`, colour{}, storage.ErrMalformed},
		{"a version below zero", firstForm, `{"v":-1}`, colour{}, storage.ErrMalformed},
		{"a version larger than any number", firstForm, `{"v":99999999999999999999}`, colour{}, storage.ErrMalformed},
		{"trailing bytes", firstForm, `{"v":1,"name":"red"}canary`, colour{}, storage.ErrMalformed},
		{"trailing bytes where none is borne", plainForm, `{"name":"red"}{}`, colour{}, storage.ErrMalformed},
		{"a cut record", firstForm, `{"v":1,"name":"cana`, colour{}, storage.ErrMalformed},
		{"a record cut in its version", firstForm, `{"v":1`, colour{}, storage.ErrMalformed},
		{"a value of another type", firstForm, `{"v":1,"rgb":{"canary":"canary"}}`, colour{}, storage.ErrMalformed},
		{"null", firstForm, `null`, colour{}, storage.ErrMalformed},
		{"null where no version is borne", plainForm, `null`, colour{}, storage.ErrMalformed},
		{"a list", plainForm, `[]`, colour{}, storage.ErrMalformed},
		{"nothing", firstForm, ``, colour{}, storage.ErrMalformed},
		{"nothing where no version is borne", plainForm, ``, colour{}, storage.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := colour{ID: "1"}
			err := c.form.Decode([]byte(c.record), &got)
			if c.err == nil {
				if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
					t.Errorf("%v, %s", err, diff)
				}
				return
			}
			if !errors.Is(err, c.err) || !strings.HasPrefix(err.Error(), "colour record: ") {
				t.Errorf("error %v, want %v", err, c.err)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("%v tells what is in the record", err)
			}
		})
	}
}

func TestAnErrorTellsVersionAndPlace(t *testing.T) {
	for record, want := range map[string]string{
		`{"v":2}`:             "colour record: version 2 is newer than this coffer",
		`{"v":1,"name":7}`:    "colour record: malformed at byte 15",
		`{"v":1,"name":"x`:    "colour record: malformed at byte 16",
		`{"name":"no v"}`:     "colour record: malformed",
		`{"v":1,"name":"x"}}`: "colour record: malformed at byte 19",
	} {
		var c colour
		if err := firstForm.Decode([]byte(record), &c); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", record, err, want)
		}
	}
}

func TestARecordBeginsWithItsVersion(t *testing.T) {
	red := colour{ID: "1", Name: "red", RGB: map[string]int{"r": 255}}
	for _, c := range []struct {
		form storage.Form[colour]
		of   colour
		want string
	}{
		{firstForm, red, `{"v":1,"name":"red","rgb":{"r":255}}`},
		{firstForm, colour{}, `{"v":1}`},
		{plainForm, colour{}, `{}`},
		{plainForm, red, `{"name":"red","rgb":{"r":255}}`},
		{namedForm, colour{Name: "red"}, `{"version":12,"name":"red"}`},
	} {
		if got, err := c.form.Encode(&c.of); err != nil || string(got) != c.want {
			t.Errorf("%s, %v, want %s", got, err, c.want)
		}
	}
	broken := storage.Form[struct{ M json.RawMessage }]{Name: "broken record", Version: 1}
	if got, err := broken.Encode(&struct{ M json.RawMessage }{json.RawMessage("{")}); err == nil {
		t.Errorf("written as %s", got)
	}
}

// Finding the version takes no more than looking at the first bytes.
func TestTheVersionCostsNothing(t *testing.T) {
	record := []byte(`{"v":1,"name":"red"}`)
	var c colour
	plain := testing.AllocsPerRun(100, func() {
		if err := json.Unmarshal(record, &c); err != nil {
			t.Fatal(err)
		}
	})
	if got := testing.AllocsPerRun(100, func() {
		if err := firstForm.Decode(record, &c); err != nil {
			t.Fatal(err)
		}
	}); got > plain {
		t.Errorf("%v allocations, %v without", got, plain)
	}
}
