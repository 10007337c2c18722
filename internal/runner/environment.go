package runner

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/internal/secret"
)

// variable is one variable of the environment.
type variable struct {
	name  string
	value secret.Bytes
	file  string // it comes from; empty: inherited
	slot  string // of its value; empty: the value is given
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
		read, err := loadDotenv(file)
		if err != nil {
			return nil, err
		}
		for _, name := range slices.Sorted(maps.Keys(read)) {
			if i, ok := e.at[name]; ok && e.variables[i].file == "" && !override {
				continue
			}
			e.set(variable{name: name, value: secret.Text(read[name]), file: file})
		}
	}
	return e, nil
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
	}
}

// forChild returns the environment of the program: values in place of
// references, and nothing of the login. An optional variable that is absent is
// not set.
func (e *environment) forChild(values values) ([]string, error) {
	var list []string
	for _, v := range e.variables {
		if isLogin(v.name) {
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
			return nil, fmt.Errorf("%s: the value holds a zero byte, which no environment can: use -config", v.name)
		}
		list = append(list, v.name+"="+text)
	}
	return list, nil
}
