package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/cofferhq/coffer/internal/file"
)

// Where the program finds its files.
const (
	filesVariable       = "COFFER_FILES" // the folder of all files
	fileSuffix          = "_FILE"        // NAME_FILE is the path of NAME, as images of containers have it
	credentialsVariable = "CREDENTIALS_DIRECTORY"
	filesFolder         = "files"
	credentialsFolder   = "credentials"
	configFolder        = "config"
)

// defaultFileMode lets the owner read a file, and nobody write it.
const defaultFileMode fs.FileMode = 0o400

// File is a file with one value, in the program's private folder.
type File struct {
	Name      string // of the file, and with _FILE at its end of the variable with its path
	Reference string // or a text with several
	Mode      fs.FileMode
	Owner     Owner

	variable string // with the path; empty: the name decides
	from     *entry // of the manifest, in place of a reference; nil: none
}

// Owner is who owns a file. The zero value is who runs us.
type Owner struct {
	given    bool
	uid, gid int
}

var (
	fileName     = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// ParseFile reads NAME=REFERENCE[,mode=0400][,owner=UID:GID]. Errors do not repeat
// the reference, which may have a default that is secret.
func ParseFile(text string) (File, error) {
	name, rest, ok := strings.Cut(text, "=")
	if !ok || !fileName.MatchString(name) {
		return File{}, errors.New("want NAME=REFERENCE, where NAME has letters, digits, _, - and . only")
	}
	f := File{Name: name, Reference: rest, Mode: defaultFileMode}
	for {
		at := strings.LastIndexByte(f.Reference, ',')
		if at < 0 {
			break
		}
		key, value, _ := strings.Cut(f.Reference[at+1:], "=")
		set, ok := fileSettings[key]
		if !ok {
			break // the comma is the reference's
		}
		if err := set(&f, value); err != nil {
			return File{}, fmt.Errorf("%s: %w", name, err)
		}
		f.Reference = f.Reference[:at]
	}
	if f.Reference == "" {
		return File{}, fmt.Errorf("%s: the reference is missing", name)
	}
	return f, nil
}

// fileSettings are what may follow a reference.
var fileSettings = map[string]func(*File, string) error{
	"mode": func(f *File, value string) error {
		mode, err := strconv.ParseUint(value, 8, 9)
		if err != nil || mode&0o400 == 0 {
			return errors.New("mode must be an octal number such as 0400 or 0440, which lets the owner read")
		}
		f.Mode = fs.FileMode(mode)
		return nil
	},
	"owner": func(f *File, value string) (err error) {
		f.Owner, err = ParseOwner(value)
		return err
	},
}

// ParseOwner reads UID:GID, in numbers: names are another container's business.
func ParseOwner(text string) (Owner, error) {
	u, g, ok := strings.Cut(text, ":")
	uid, err1 := strconv.ParseUint(u, 10, 32)
	gid, err2 := strconv.ParseUint(g, 10, 32)
	if !ok || err1 != nil || err2 != nil || uid == math.MaxUint32 || gid == math.MaxUint32 {
		return Owner{}, errors.New("owner must be UID:GID, in numbers")
	}
	return Owner{given: true, uid: int(uid), gid: int(gid)}, nil
}

// other says whether the owner is not who runs us: the folders must let it in.
func (o Owner) other() bool {
	return o.given && (o.uid != os.Geteuid() || o.gid != os.Getegid())
}

// label is what the file is called in errors, and its slot among the values.
func (f File) label() string {
	if f.from != nil {
		return f.from.Name
	}
	return "-file " + f.Name
}

// pathVariable is the variable that gets the file's path; empty: none.
func (f File) pathVariable() string {
	switch {
	case f.from != nil:
		return f.variable
	case variableName.MatchString(f.Name):
		return f.Name + fileSuffix
	}
	return ""
}

// value returns what the file holds.
func (f File) value(v values) (string, bool) {
	if f.from != nil {
		return f.from.value(v)
	}
	return v.value(f.label())
}

// output is a file that is to be written.
type output struct {
	path    string
	content []byte
	mode    fs.FileMode
	owner   Owner
}

// stage writes the content to a file of another name in the same folder, where the
// system gives it the label that it will keep, and returns that name.
func (o output) stage() (name string, err error) {
	return file.Stage(o.path, o.mode, func(f *os.File) error {
		if o.owner.given {
			if err := f.Chown(o.owner.uid, o.owner.gid); err != nil {
				return err
			}
		}
		_, err := f.Write(o.content)
		return err
	})
}

// writeOutputs puts files in place of those of their names: each in one step, and
// none before all are ready.
func writeOutputs(all []output) error {
	var staged []string
	undo := func() {
		for _, name := range staged {
			_ = os.Remove(name) // those that are in place have this name no more
		}
	}
	for _, o := range all {
		name, err := o.stage()
		if err != nil {
			undo()
			return fmt.Errorf("write %s: %w", filepath.Base(o.path), err)
		}
		staged = append(staged, name)
	}
	for i, o := range all {
		if err := os.Rename(staged[i], o.path); err != nil {
			undo()
			return fmt.Errorf("write %s: %w", filepath.Base(o.path), err)
		}
	}
	return nil
}

// delivery is what the program is given: variables, arguments and files.
type delivery struct {
	variables []string
	args      []string
	outputs   []output
	absent    []string // files that must not be there
}

// deliverFiles adds the files of -file, -credentials and -template, and the
// variables that tell where they are.
func (j *job) deliverFiles(d *delivery, env *environment, v values) error {
	if len(j.Files) > 0 || len(j.templates) > 0 {
		dir, err := j.folder(filesFolder)
		if err != nil {
			return err
		}
		d.variables = append(d.variables, filesVariable+"="+dir)
		for _, f := range j.Files {
			path := filepath.Join(dir, f.Name)
			text, ok := f.value(v)
			if !ok {
				d.absent = append(d.absent, path)
				continue
			}
			d.outputs = append(d.outputs, output{path: path, content: []byte(text), mode: f.Mode, owner: f.Owner})
			if name := f.pathVariable(); name != "" {
				d.variables = append(d.variables, name+"="+path)
			}
		}
		for i, t := range j.templates {
			d.outputs = append(d.outputs, output{path: t.path(dir), content: v.rendered[i].content.Reveal(), mode: 0o600})
		}
	}
	return j.deliverCredentials(d, env, v)
}

// deliverCredentials writes the variables that are references to a folder of the
// kind that systemd makes.
func (j *job) deliverCredentials(d *delivery, env *environment, v values) error {
	if !j.Credentials {
		return nil
	}
	dir, err := j.folder(credentialsFolder)
	if err != nil {
		return err
	}
	d.variables = append(d.variables, credentialsVariable+"="+dir)
	for _, name := range env.credentials() {
		path := filepath.Join(dir, name)
		text, ok := v.value(env.slotOf(name))
		if !ok {
			d.absent = append(d.absent, path)
			continue
		}
		d.outputs = append(d.outputs, output{path: path, content: []byte(text), mode: defaultFileMode})
	}
	return nil
}

// folder returns a folder within the private one, which it makes.
func (j *job) folder(name string) (string, error) {
	if err := j.openPrivate(); err != nil {
		return "", err
	}
	path := filepath.Join(j.private.path, name)
	err := os.Mkdir(path, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return path, os.Chmod(path, j.private.mode)
}

// openPrivate makes the private folder when it is first needed.
func (j *job) openPrivate() (err error) {
	if j.private != nil {
		return nil
	}
	folders, mode := memoryFolders(j.environment.getenv), fs.FileMode(0o700)
	for _, f := range j.Files {
		if f.Owner.other() {
			// It may pass through to a file whose name it knows. Another user's runtime
			// folder lets nobody through.
			folders, mode = sharedFolders, 0o711
		}
	}
	j.private, err = openPrivateDir(folders, j.AllowDisk, mode)
	return err
}
