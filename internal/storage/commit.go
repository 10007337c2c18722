package storage

import (
	"errors"
	"fmt"
)

// ErrInvalid says that a commit is malformed: an empty key, or one key in two
// operations. It is a mistake of the caller's; nothing was done.
var ErrInvalid = errors.New("storage: malformed commit")

// Check returns an error if no store may accept the commit: [ErrTooLarge]
// beyond the limits of this package, [ErrInvalid] if it is malformed. Drivers
// call it first in Apply.
func Check(conds []Cond, ops []Op) error {
	if len(conds) > MaxOps || len(ops) > MaxOps {
		return fmt.Errorf("%w: %d conditions and %d operations, at most %d each",
			ErrTooLarge, len(conds), len(ops), MaxOps)
	}
	total := 0
	for i := range conds {
		if err := checkKey(conds[i].Key); err != nil {
			return err
		}
		total += len(conds[i].Key)
	}
	for i := range ops {
		if err := checkKey(ops[i].Key); err != nil {
			return err
		}
		total += len(ops[i].Key) + len(ops[i].Value)
	}
	if total > MaxCommitBytes {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, total, MaxCommitBytes)
	}
	return checkOnce(ops)
}

func checkKey(key string) error {
	if key == "" {
		return fmt.Errorf("%w: empty key", ErrInvalid)
	}
	if len(key) > MaxKeyBytes {
		return fmt.Errorf("%w: a key of %d bytes, at most %d", ErrTooLarge, len(key), MaxKeyBytes)
	}
	return nil
}

// checkOnce compares pairs where that is cheaper than a map, as it is for
// nearly every commit.
func checkOnce(ops []Op) error {
	const few = 12
	if len(ops) <= few {
		for i := range ops {
			for j := range i {
				if ops[i].Key == ops[j].Key {
					return errTwice
				}
			}
		}
		return nil
	}
	seen := make(map[string]struct{}, len(ops))
	for i := range ops {
		seen[ops[i].Key] = struct{}{}
	}
	if len(seen) < len(ops) {
		return errTwice
	}
	return nil
}

var errTwice = fmt.Errorf("%w: one key in two operations", ErrInvalid)
