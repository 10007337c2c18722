package audit

import (
	"os"
	"path/filepath"

	"github.com/cofferhq/coffer/internal/logical"
)

// syncing is which lines a file writes through to the disk.
type syncing int

const (
	syncNever     syncing = iota // the kernel writes them when it will
	syncMutations                // those of requests that change something
	syncAlways
)

// durability is when a line is recorded.
type durability bool

const (
	inKernel durability = false // the kernel has it
	onDisk   durability = true  // a power cut does not take it
)

func parseSyncing(text string) (syncing, error) {
	switch text {
	case "never":
		return syncNever, nil
	case "mutations":
		return syncMutations, nil
	case "always":
		return syncAlways, nil
	}
	return 0, logical.Invalid("%q is none of never, mutations and always", text)
}

// durability is what a line of an operation needs. All but reads and lists are
// taken to change something, logins among them.
func (s syncing) durability(op logical.Op) durability {
	switch s {
	case syncAlways:
		return onDisk
	case syncMutations:
		return durability(op != logical.Read && op != logical.List)
	}
	return inKernel
}

// syncInTurn writes what is in the file through to the disk, and the first time its
// name, too. Pipes and terminals have no disk.
func (f *file) syncInTurn() error {
	if f.current.info == nil || !f.current.info.Mode().IsRegular() {
		return nil
	}
	if err := f.current.Sync(); err != nil {
		return err
	}
	if f.path != "" && !f.current.named {
		syncFolder(f.path)
		f.current.named = true
	}
	return nil
}

// syncFolder writes the name of a file through to the disk. Not all file systems
// can, and those that can't need not.
func syncFolder(path string) {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return
	}
	defer folder.Close()
	_ = folder.Sync()
}
