package storage

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Errors of [Form.Decode], wrapped.
var (
	// ErrMalformed says that a record is not one of its kind.
	ErrMalformed = errors.New("malformed")
	// ErrNewer says that a record was written by a newer version of coffer.
	ErrNewer = errors.New("is newer than this coffer")
)

// Form is how the records of one kind are stored: as the JSON object of a T,
// with the version of the form as its first member, of which T itself has none.
//
// The version is raised when an older coffer would take a record for something
// else than it is: that one must refuse it. A member that it may overlook needs
// no new version, for unknown members are.
type Form[T any] struct {
	// Name begins errors: "token record".
	Name string
	// Version is the newest. Zero: the records bear none, which those of a later
	// version will.
	Version int
	// Member is the name of the version's member; empty: "v".
	Member string
	// Upgrade reads a record of an older version into r. Nil: there is none.
	Upgrade func(version int, record []byte, r *T) error
}

// Decode reads a record into r, which may be filled in advance with what the
// record does not have. After an error, of kind ErrMalformed or ErrNewer, r is of
// no use. Errors tell nothing of the record's content.
func (f Form[T]) Decode(record []byte, r *T) error {
	version, err := f.version(record)
	switch {
	case err != nil:
	case version > f.Version:
		return fmt.Errorf("%s: version %d %w", f.Name, version, ErrNewer)
	case version == f.Version:
		err = json.Unmarshal(record, r)
	case f.Upgrade != nil:
		err = f.Upgrade(version, record, r)
	default:
		err = ErrMalformed
	}
	if err != nil {
		return f.malformed(err)
	}
	return nil
}

// Encode returns the record of r.
func (f Form[T]) Encode(r *T) ([]byte, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	if f.Version == 0 {
		return body, nil
	}
	member := f.member()
	record := make([]byte, 0, len(body)+len(member)+16)
	record = append(record, `{"`...)
	record = append(record, member...)
	record = append(record, `":`...)
	record = strconv.AppendInt(record, int64(f.Version), 10)
	if string(body) != "{}" {
		record = append(record, ',')
	}
	return append(record, body[1:]...), nil
}

func (f Form[T]) member() string {
	if f.Member == "" {
		return "v"
	}
	return f.Member
}

// version returns the version of a record; zero if it bears none. What Encode
// wrote begins with it and is not parsed for it.
func (f Form[T]) version(record []byte) (int, error) {
	if digits := f.leading(record); len(digits) > 0 {
		return strconv.Atoi(string(digits))
	}
	if f.Version == 0 && len(record) > 0 && record[0] == '{' {
		return 0, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(record, &members); err != nil {
		return 0, err
	}
	text, ok := members[f.member()]
	if !ok && members != nil {
		return 0, nil
	}
	version, err := strconv.ParseUint(string(text), 10, 31)
	return int(version), err
}

// leading returns the digits of the version with which a record begins, if it
// does.
func (f Form[T]) leading(record []byte) []byte {
	member := f.member()
	start := len(`{"`) + len(member) + len(`":`)
	if len(record) <= start || string(record[:2]) != `{"` ||
		string(record[2:start-2]) != member || string(record[start-2:start]) != `":` {
		return nil
	}
	end := start
	for end < len(record) && '0' <= record[end] && record[end] <= '9' {
		end++
	}
	if end == len(record) || record[end] != ',' && record[end] != '}' {
		return nil
	}
	return record[start:end]
}

// malformed keeps only the place of what the parser says, which quotes values.
func (f Form[T]) malformed(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("%s: %w at byte %d", f.Name, ErrMalformed, syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Errorf("%s: %w at byte %d", f.Name, ErrMalformed, kind.Offset)
	}
	return fmt.Errorf("%s: %w", f.Name, ErrMalformed)
}
