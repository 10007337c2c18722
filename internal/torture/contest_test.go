package torture

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// contest is a secret that several clients write with check-and-set: of all who
// write after the same version one wins.
type contest struct {
	mu       sync.Mutex      // guards the fields below
	acked    map[int]string  // version → value
	inFlight map[string]bool // values
}

// contestVersions is how many versions the secret keeps.
const contestVersions = 500

const contestPath = versionedMount + "data/contest"

type contestant struct{ *contest }

func (c *contestant) act(w *worker) error {
	seen, err := w.ask(w.root, contestPath)
	if err != nil {
		return err
	}
	current := 0
	if seen != nil {
		if current, err = versionOf(seen.Data["metadata"]); err != nil {
			return err
		}
	}
	value := w.unique()
	answer, err := w.write(contestPath, map[string]any{
		"data": map[string]any{"v": value}, "options": map[string]any{"cas": current},
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case errors.Is(err, errUnknown):
		c.inFlight[value] = true
		return err
	case errors.Is(err, errRefused) && strings.Contains(err.Error(), "check-and-set"):
		return nil
	case err != nil:
		return err
	}
	version, err := versionOf(answer.Data)
	if err != nil || version != current+1 || c.acked[version] != "" {
		return fmt.Errorf("version %d was acknowledged after version %d, and before to %q: %v", version, current, c.acked[version], err)
	}
	c.acked[version] = value
	return nil
}

func versionOf(metadata any) (int, error) {
	fields, _ := metadata.(map[string]any)
	number, ok := fields["version"].(json.Number)
	if !ok {
		return 0, fmt.Errorf("no version in the answer")
	}
	return strconv.Atoi(number.String())
}

// check is done by whoever comes first; the others find nothing to settle.
func (c *contestant) check(w *worker) error {
	seen, err := w.ask(w.root, contestPath)
	if err != nil {
		return err
	}
	current := 0
	if seen != nil {
		if current, err = versionOf(seen.Data["metadata"]); err != nil {
			return err
		}
	}
	for version := range c.acked {
		if version > current {
			return fmt.Errorf("version %d was acknowledged, the newest is %d", version, current)
		}
	}
	for version := max(1, current-contestVersions+1); version <= current; version++ {
		if err := c.checkVersion(w, version); err != nil {
			return err
		}
	}
	for range c.inFlight {
		w.landed(false)
	}
	clear(c.inFlight)
	return nil
}

func (c *contestant) checkVersion(w *worker, version int) error {
	acked := c.acked[version]
	if acked == checked {
		return nil
	}
	s, err := w.root.ReadQuery(w.t.Context(), contestPath, url.Values{"version": {strconv.Itoa(version)}})
	if err != nil || s == nil {
		return fmt.Errorf("version %d can't be read: %w", version, err)
	}
	data, _ := s.Data["data"].(map[string]any)
	value := fmt.Sprint(data["v"])
	switch {
	case acked == value:
	case acked == "" && c.inFlight[value]:
		delete(c.inFlight, value)
		w.landed(true)
	default:
		return fmt.Errorf("version %d is %q; acknowledged was %q, in flight was %v", version, value, acked, c.inFlight)
	}
	c.acked[version] = checked
	return nil
}

// checked stands in place of the value of versions that have been compared.
const checked = "(compared)"
