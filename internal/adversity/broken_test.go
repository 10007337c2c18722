package adversity

import (
	"net/http"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cofferhq/coffer/internal/servertest"
)

const diskBytes = 64 << 20

// The system makes a file system read-only when it finds it damaged.
func TestADiskThatTurnsReadOnlyIsReadOn(t *testing.T) {
	d := newExt4(t, diskBytes)
	s := servertest.New(t, servertest.Config{Data: filepath.Join(d.dir, "data")})
	root := s.Start().Open()
	l := newLedger(t, root)
	l.must(root, 50, 1000)

	d.abort()
	l.writeUntilRefused(root, 1000, 4)
	wantError(t, l.write(root, 1), http.StatusInternalServerError, takesNoChanges)
	wantHealth(t, root, http.StatusOK)
	l.compare(root)
	wantWords(t, s.Process().Log(), thenRestart)
	s.Process().Kill()

	s.Start().Refusal()
	d.remount()
	root = s.Start().Open()
	l.compare(root)
	l.must(root, 5, 1000)
}

func TestAStartOnAReadOnlyDiskSaysSo(t *testing.T) {
	d := newTmpfs(t, diskBytes)
	s := servertest.New(t, servertest.Config{Data: filepath.Join(d.dir, "data")})
	d.setFlags(syscall.MS_RDONLY)
	wantWords(t, s.Start().Refusal(), "read-only file system", "mount its file system writable")

	d.setFlags(0)
	root := s.Start().Open()
	l := newLedger(t, root)
	l.must(root, 10, 1000)
	if err := s.Process().Stop(); err != nil {
		t.Fatal(err)
	}
	d.setFlags(syscall.MS_RDONLY)
	wantWords(t, s.Start().Refusal(), "read-only file system", "mount its file system writable")

	d.setFlags(0)
	l.compare(s.Start().Open())
}

// Every read, write and sync of the disk fails.
func TestADiskThatGoesAwayLosesNothing(t *testing.T) {
	d := newExt4(t, diskBytes)
	s := servertest.New(t, servertest.Config{Data: filepath.Join(d.dir, "data")})
	root := s.Start().Open()
	l := newLedger(t, root)
	l.must(root, 100, 10_000)
	s.Process().Kill()
	root = s.Start().Open() // nothing is in memory now

	if err := l.check(root, plainMount+"0001", 10_000, true); err != nil {
		t.Fatal(err)
	}
	d.unplug()
	wantError(t, l.write(root, 1000), http.StatusInternalServerError)
	wantError(t, l.write(root, 1000), http.StatusInternalServerError, takesNoChanges)
	if err := l.check(root, plainMount+"0001", 10_000, true); err != nil {
		t.Errorf("what is in memory: %v", err)
	}
	_, err := root.Read(t.Context(), plainMount+"0100")
	wantError(t, err, http.StatusInternalServerError)
	wantWords(t, s.Process().Log(), "input/output error", thenRestart)
	s.Process().Kill()

	wantWords(t, s.Start().Refusal(), "input/output error", "its disk fails")
	d.remount()
	root = s.Start().Open()
	l.compare(root)
	l.must(root, 5, 1000)
}

// A disk that goes away while many write: what was acknowledged was synced.
func TestADiskThatGoesAwayUnderLoadLosesNothing(t *testing.T) {
	d := newExt4(t, diskBytes)
	s := servertest.New(t, servertest.Config{Data: filepath.Join(d.dir, "data")})
	root := s.Start().Open()
	l := newLedger(t, root)
	const enough = 200
	pulled := make(chan error, 1)
	l.after(enough, func() { pulled <- d.shutDown() })
	l.writeUntilRefused(root, 2000, 100_000)
	if err := <-pulled; err != nil {
		t.Fatal(err)
	}
	s.Process().Kill()
	d.remount()
	l.compare(s.Start().Open())
}
