package runner

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/internal/dotenv"
	"github.com/cofferhq/coffer/internal/secret"
)

// variable is one variable of the environment.
type variable struct {
	name  string
	value secret.Bytes
	file  string // it comes from; empty: inherited
	slot  string // of its value; empty: the value is given

	isReference bool // the value is made of a secret, or several
}

// environment is the variables that the program will see, and those that we see
// alone.
type environment struct {
	variables []variable
	at        map[string]int // name → index
}

// collect merges what is inherited with the files.
func collect(inherited, files []string, override bool) (*environment, error) {
	e := &environment{at: map[string]int{}}
	for _, entry := range inherited {
		name, value, ok := strings.Cut(entry, "=")
		if ok && name != "" {
			e.set(variable{name: name, value: secret.Text(value)})
		}
	}
	for _, file := range files {
		read, err := readDotenv(file)
		if err != nil {
			return nil, err
		}
		for _, name := range slices.Sorted(maps.Keys(read)) {
			if i, ok := e.at[name]; ok && e.variables[i].file == "" && !override {
				continue
			}
			e.set(variable{name: name, value: read[name], file: file})
		}
	}
	return e, nil
}

// readDotenv reads a file in dotenv's format. Its errors name file and line, and
// never repeat a word of the file.
func readDotenv(path string) (map[string]secret.Bytes, error) {
	f, err := dotenv.Load(path)
	if err != nil {
		return nil, err
	}
	values, err := f.Values()
	if err != nil {
		return nil, fmt.Errorf("%s, %w", path, err)
	}
	return values, nil
}

func (e *environment) set(v variable) {
	if i, ok := e.at[v.name]; ok {
		e.variables[i] = v
		return
	}
	e.at[v.name] = len(e.variables)
	e.variables = append(e.variables, v)
}

// getenv is os.Getenv on the whole.
func (e *environment) getenv(name string) string {
	i, ok := e.at[name]
	if !ok {
		return ""
	}
	return e.variables[i].value.RevealText()
}

// lookup is os.LookupEnv on the whole.
func (e *environment) lookup(name string) (string, bool) {
	i, ok := e.at[name]
	if !ok {
		return "", false
	}
	return e.variables[i].value.RevealText(), true
}

// drop forgets what a variable was to be filled with.
func (e *environment) drop(name string, s *slots) {
	if i, ok := e.at[name]; ok {
		delete(s.templates, e.variables[i].slot)
	}
}

// find collects the references of all variables but those of the login.
func (e *environment) find(s *slots) {
	for i := range e.variables {
		v := &e.variables[i]
		if isLogin(v.name) {
			continue
		}
		name, lenient := v.name, v.file == ""
		if !lenient {
			name += " (" + v.file + ")"
		}
		v.slot = s.add(name, v.value.RevealText(), lenient)
		v.isReference = len(s.templates[v.slot].References()) > 0
	}
}

// forChild returns the environment of the program: values in place of
// references, and nothing of the login. An optional variable that is absent is
// not set.
// With asFiles, variables that are made of secrets are not set either.
func (e *environment) forChild(values values, asFiles bool) ([]string, error) {
	var list []string
	for _, v := range e.variables {
		if isLogin(v.name) || v.name == helperVariable || asFiles && v.isReference {
			continue
		}
		text := v.value.RevealText()
		if v.slot != "" {
			var ok bool
			if text, ok = values.value(v.slot); !ok {
				continue
			}
		}
		if strings.ContainsRune(text, 0) {
			return nil, fmt.Errorf("%s: the value holds a zero byte, which no environment can: give it as a file, with -file %s=…", v.name, v.name)
		}
		list = append(list, v.name+"="+text)
	}
	return list, nil
}

// credentials returns the names of the variables that are made of secrets, in
// their order.
func (e *environment) credentials() []string {
	var names []string
	for _, v := range e.variables {
		if v.isReference {
			names = append(names, v.name)
		}
	}
	return names
}

// slotOf returns the slot of a variable.
func (e *environment) slotOf(name string) string { return e.variables[e.at[name]].slot }
