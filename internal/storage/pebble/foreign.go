package pebble

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// errForeign says that a folder is of somebody else.
var errForeign = errors.New("the folder holds something else than coffer's data: choose another folder, or an empty one")

// refuseForeign returns errForeign if there is no store in dir, but files that
// are none of what an interrupted first start leaves.
func refuseForeign(disk vfs.FS, dir string) error {
	names, err := disk.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	i := slices.IndexFunc(names, func(name string) bool { return !isPebbles(name) })
	if i < 0 {
		return nil
	}
	d, err := pebble.Peek(dir, disk)
	if err != nil || d.Exists {
		return err
	}
	return fmt.Errorf("%w (there is %q)", errForeign, names[i])
}

// isPebbles says whether a file may be one that Pebble makes, or is of the disk
// itself.
func isPebbles(name string) bool {
	return name == "LOCK" || name == "CURRENT" || name == "lost+found" ||
		slices.ContainsFunc([]string{"MANIFEST-", "OPTIONS-", "marker.", "temporary."}, func(p string) bool { return strings.HasPrefix(name, p) }) ||
		slices.ContainsFunc([]string{".sst", ".log", ".dbtmp", ".blob"}, func(s string) bool { return strings.HasSuffix(name, s) })
}
