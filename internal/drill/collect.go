package drill

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/dotenv"
	"github.com/cofferhq/coffer/internal/secret"
)

// Value is a variable of the application, as a thief finds it.
type Value struct {
	Name       string
	Text       secret.Bytes
	Referenced bool // it came from the store: it is a secret, whatever it looks like
}

// Loot is what a thief has, and how to try it.
type Loot struct {
	Values []Value

	// Current returns what the application would get for some variables now, and
	// what to call when they are not needed any more.
	Current func(ctx context.Context, names []string) (values map[string]secret.Bytes, done func(), err error)

	Databases database.Kinds
	Operator  *client.Client // of whoever runs the drill
	Mount     string         // of AppRole
	Probes    []Probe
}

// collector makes a plan of a loot.
type collector struct {
	Loot
	plan Plan
	used map[string]bool // variables that are part of something that is tried
	all  map[string]secret.Bytes
}

// Collect says what can be tried of a loot, and what cannot. It asks nobody.
func Collect(l Loot) *Plan {
	c := &collector{Loot: l, used: map[string]bool{}, all: map[string]secret.Bytes{}}
	for _, v := range l.Values {
		c.all[v.Name] = v.Text
	}
	for _, p := range l.Probes {
		c.probe(p)
	}
	c.appRole()
	for _, v := range l.Values {
		if !c.used[v.Name] {
			c.single(v)
		}
	}
	c.groups()
	for _, v := range l.Values {
		if c.used[v.Name] || v.Text.Empty() || !v.Referenced && dotenv.Suspicion(v.Name, v.Text.RevealText()) == "" {
			continue
		}
		c.leave(v.Name, "it is not known where this can be tried; -bearer or -basic names a URL")
	}
	return &c.plan
}

func (c *collector) add(cred *Credential, names ...string) {
	for _, name := range names {
		c.used[name] = true
	}
	c.plan.Credentials = append(c.plan.Credentials, cred)
}

func (c *collector) leave(name, why string) {
	c.used[name] = true
	c.plan.Untried = append(c.plan.Untried, Untried{Name: name, Why: why})
}

// tokenForm is of the tokens of coffer and of Vault.
var tokenForm = regexp.MustCompile(`^(cf[sbr]|hv[sbr])\.[A-Za-z0-9_.-]+$`)

// single finds what is a credential by itself: a token, or a URL with a login.
func (c *collector) single(v Value) {
	text := v.Text.RevealText()
	switch l, ok := loginOfURL(text); {
	case ok:
		c.database(l, func(values map[string]secret.Bytes) (login, error) {
			now, ok := loginOfURL(values[v.Name].RevealText())
			if !ok {
				return login{}, errors.New("the value is no such URL any more")
			}
			return now, nil
		}, v.Name, v.Name)
	case tokenForm.MatchString(text) || isTokenName(v.Name) && text != "":
		c.token(v)
	case isWrappedName(v.Name) && text != "":
		c.wrapped(v)
	}
}

// ending returns the first of the endings that a name has, and what is in front.
func ending(name string, endings ...string) (prefix string, ok bool) {
	upper := strings.ToUpper(name)
	for _, e := range endings {
		if prefix, ok = strings.CutSuffix(upper, "_"+e); ok {
			return prefix, true
		}
		if upper == "PG"+e {
			return "PG", true
		}
	}
	return "", false
}

// roles are what the variables of a group are, by the ends of their names.
var roles = map[string][]string{
	"host":     {"HOST", "HOSTNAME", "SERVER", "ADDR"},
	"port":     {"PORT"},
	"user":     {"USER", "USERNAME", "LOGIN"},
	"password": {"PASSWORD", "PASS", "PASSWD", "PWD"},
	"database": {"DATABASE", "DBNAME", "NAME"},
	"kind":     {"CONNECTION", "DRIVER", "TYPE", "ENGINE"},
}

// groups finds logins whose parts are in variables of their own: DB_HOST, DB_USER,
// DB_PASSWORD.
func (c *collector) groups() {
	groups := map[string]map[string]string{} // prefix → role → variable
	var order []string
	for _, v := range c.Values {
		if c.used[v.Name] {
			continue
		}
		for role, endings := range roles {
			prefix, ok := ending(v.Name, endings...)
			if !ok {
				continue
			}
			if groups[prefix] == nil {
				groups[prefix] = map[string]string{}
				order = append(order, prefix)
			}
			if groups[prefix][role] == "" {
				groups[prefix][role] = v.Name
			}
		}
	}
	for _, prefix := range order {
		if group := groups[prefix]; group["password"] != "" && group["host"] != "" {
			c.group(prefix, group)
		}
	}
}

func (c *collector) group(prefix string, group map[string]string) {
	name := group["password"]
	l, err := loginOfGroup(prefix, group, c.all)
	if err != nil {
		c.leave(name, err.Error())
		return
	}
	var names []string
	for _, v := range group {
		names = append(names, v)
	}
	slices.Sort(names)
	c.database(l, func(values map[string]secret.Bytes) (login, error) { return loginOfGroup(prefix, group, values) }, name, names...)
}

// database adds a login. again makes the one of now of the variables.
func (c *collector) database(l login, again func(map[string]secret.Bytes) (login, error), name string, names ...string) {
	if _, ok := c.Databases.Find(l.system.plugin); !ok {
		c.leave(name, l.system.name+" cannot be tried by this program")
		return
	}
	c.add(&Credential{
		Name: name, Kind: l.system.name, Where: l.user + "@" + l.address(),
		Try: func(ctx context.Context) error { return l.try(ctx, c.Databases) },
		Control: func(ctx context.Context) error {
			values, done, err := c.Current(ctx, names)
			if err != nil {
				return err
			}
			defer done()
			now, err := again(values)
			if err != nil {
				return err
			}
			if now.same(l) {
				return ErrSame
			}
			return now.try(ctx, c.Databases)
		},
	}, names...)
}
