package torture

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// logins is a client that logs in with AppRole, with secret ids that are good for
// a number of logins.
type logins struct {
	role, roleID string
	entity       string // of the role; empty: nobody has logged in yet

	secretID string
	mark     string // of the secret id: its logins have it, too
	left     int    // logins that it is still good for

	loggingIn bool // one is in flight
	issuing   bool // a secret id is in flight
	own       tokens
}

// secretIDUses is how many logins a secret id is good for.
const secretIDUses = 20

func newLogins(w *worker) actor {
	l := &logins{role: "auth/approle/role/" + w.name}
	w.must(l.role, map[string]any{"token_policies": ownPolicy, "token_ttl": "700h", "secret_id_num_uses": secretIDUses})
	s, err := w.root.Read(w.t.Context(), l.role+"/role-id")
	if err != nil {
		w.t.Fatal(err)
	}
	l.roleID = fmt.Sprint(s.Data["role_id"])
	return l
}

func (l *logins) accessors() []string { return l.own.accessors() }

func (l *logins) act(w *worker) error {
	switch {
	case l.left == 0:
		return l.issue(w)
	case len(l.own.alive) > mostTokens || len(l.own.alive) > 0 && w.dice.IntN(3) == 0:
		b := l.own.alive[w.dice.IntN(len(l.own.alive))]
		l.own.revoking, l.own.sparing = b, false
		err := l.own.revoke(w, b)
		if errors.Is(err, errUnknown) {
			return err
		}
		if l.own.revoking = nil; err == nil {
			l.own.bury(b, false)
		}
		return err
	}
	return l.login(w)
}

// issue gets a new secret id.
func (l *logins) issue(w *worker) error {
	mark := w.unique()
	l.issuing = true
	s, err := w.write(l.role+"/secret-id", map[string]any{"metadata": fmt.Sprintf(`{%q:%q}`, markField, mark)})
	if errors.Is(err, errUnknown) {
		return err
	}
	if l.issuing = false; err == nil {
		l.secretID, l.mark, l.left = fmt.Sprint(s.Data["secret_id"]), mark, secretIDUses
	}
	return err
}

func (l *logins) login(w *worker) error {
	l.loggingIn = true
	s, err := w.writeAs(w.root.WithToken(""), "auth/approle/login", map[string]any{"role_id": l.roleID, "secret_id": l.secretID})
	if errors.Is(err, errUnknown) {
		return err
	}
	l.loggingIn = false
	if err != nil {
		return err
	}
	l.left--
	l.own.alive = append(l.own.alive, bearerOf(s.Auth, nil))
	return l.sameEntity(s.Auth.EntityID)
}

func (l *logins) sameEntity(id string) error {
	if l.entity == "" {
		l.entity = id
	}
	if id != l.entity || id == "" {
		return fmt.Errorf("a login is of entity %q, one before was of %q", id, l.entity)
	}
	return nil
}

func (l *logins) check(w *worker) error {
	if err := l.settleLogin(w); err != nil {
		return err
	}
	if l.issuing {
		// Nobody knows the text; that it is whole is seen by its accessor.
		l.issuing = false
		n, err := l.secretIDs(w)
		if err != nil {
			return err
		}
		w.landed(n > 0)
	}
	return l.own.check(w)
}

// settleLogin finds out whether a login in flight has been done: the use was
// taken off the secret id and there is a token, or neither.
func (l *logins) settleLogin(w *worker) error {
	if l.mark == "" {
		return nil
	}
	left, err := l.usesLeft(w)
	if err != nil {
		return err
	}
	found := w.census.claim(marked(l.mark))
	done := l.left - left
	switch {
	case done != len(found):
		return fmt.Errorf("%d uses of a secret id are gone, and there are %d tokens that nobody was told of", done, len(found))
	case done < 0 || done > 1 || done == 1 && !l.loggingIn:
		return fmt.Errorf("a secret id has %d uses left, acknowledged were %d", left, l.left)
	}
	if l.loggingIn {
		w.landed(done == 1)
	}
	l.left, l.loggingIn = left, false
	return w.forget(found)
}

func (l *logins) usesLeft(w *worker) (int, error) {
	s, err := w.root.Write(w.t.Context(), l.role+"/secret-id/lookup", map[string]any{"secret_id": l.secretID})
	if err != nil || s == nil { // one that is used up is not there
		return 0, err
	}
	uses, ok := s.Data["secret_id_num_uses"].(json.Number)
	if !ok {
		return 0, errors.New("the secret id does not tell its uses")
	}
	n, err := uses.Int64()
	return int(n), err
}

// secretIDs looks up, and removes, all secret ids of the role but the one in use.
// It returns how many there were.
func (l *logins) secretIDs(w *worker) (n int, err error) {
	accessors, err := w.list(l.role + "/secret-id")
	if err != nil {
		return 0, err
	}
	for _, accessor := range slices.Sorted(slices.Values(accessors)) {
		body := map[string]any{"secret_id_accessor": accessor}
		s, err := w.root.Write(w.t.Context(), l.role+"/secret-id-accessor/lookup", body)
		if err != nil || s == nil {
			return 0, fmt.Errorf("a secret id is in the list and can't be looked up: %w", err)
		}
		meta, _ := s.Data["metadata"].(map[string]any)
		if l.left > 0 && meta[markField] == l.mark {
			continue
		}
		if _, err := w.write(l.role+"/secret-id-accessor/destroy", body); err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}
