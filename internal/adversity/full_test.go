package adversity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/servertest"
)

const blockBytes = 4 << 10 // of the disks here

// What the server says of a storage that has failed, to callers and in its log.
const (
	takesNoChanges = "the storage takes no more changes"
	thenRestart    = "mend the disk, then restart the server"
)

func TestADiskThatIsFullOfDataLosesNothing(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(t *testing.T, bytes int) *disk
	}{
		{"a disk that says so at the write", newTmpfs},
		{"a disk that writes behind", newExt4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := tt.make(t, 48<<20)
			d.occupy(24 << 20)
			s := servertest.New(t, servertest.Config{Data: filepath.Join(d.dir, "data")})
			root := s.Start().Open()
			l := newLedger(t, root)
			wantError(t, l.writeUntilRefused(root, 64<<10, 4000), http.StatusInternalServerError)
			d.fill()
			wantError(t, l.write(root, 1), http.StatusInternalServerError, takesNoChanges)
			wantHealth(t, root, http.StatusOK)
			l.compare(root)
			wantWords(t, s.Process().Log(), "no space left on device", thenRestart)
			s.Process().Kill()

			wantWords(t, s.Start().Refusal(), "no space left on device", "free some space")

			d.free(everything)
			root = s.Start().Open()
			l.compare(root)
			l.must(root, 10, 64<<10)
		})
	}
}

// audited is a server that records on a small disk of its own.
type audited struct {
	*disk
	root *client.Client
	file string
}

func startAudited(t *testing.T) *audited {
	t.Helper()
	a := &audited{disk: newTmpfs(t, 1<<20)}
	a.file = filepath.Join(a.dir, "audit.log")
	a.root = servertest.New(t, servertest.Config{}).Start().Open()
	options := map[string]any{"type": "file", "options": map[string]any{"file_path": a.file}}
	if _, err := a.root.Write(t.Context(), "sys/audit/file", options); err != nil {
		t.Fatal(err)
	}
	return a
}

// untilUnknown fills the disk, block by block, until do has been done and could
// not be recorded: its request took the last room. It returns how often it was
// answered.
func (a *audited) untilUnknown(do func() error) (answered int) {
	a.t.Helper()
	for range 200 {
		err := do()
		switch {
		case err == nil:
			answered++
		case strings.Contains(err.Error(), "outcome unknown: the answer could not be recorded"):
			wantError(a.t, err, http.StatusInternalServerError)
			return answered
		default:
			wantError(a.t, err, http.StatusInternalServerError, "could not be recorded by any audit device")
			a.free(blockBytes)
		}
	}
	a.t.Fatal("no answer found the disk full that its request has found room on")
	return 0
}

// wantWholeLines fails unless every line of the file is one.
func (a *audited) wantWholeLines() {
	a.t.Helper()
	text, err := os.ReadFile(a.file)
	if err != nil {
		a.t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		if !json.Valid(line) {
			a.t.Errorf("a line of the audit is torn: %.40q", line)
		}
	}
}

func TestADiskThatIsFullOfAuditRefusesUntilThereIsRoom(t *testing.T) {
	a := startAudited(t)
	l := newLedger(t, a.root)
	l.must(a.root, 5, 100)
	a.fill()

	l.writeUntilRefused(a.root, 100, 400)
	var readErr error
	for range 50 { // what is left in the last block takes a few
		if _, readErr = a.root.Read(t.Context(), plainMount+"0001"); readErr != nil {
			break
		}
	}
	wantError(t, readErr, http.StatusInternalServerError, "the request could not be recorded by any audit device")
	wantHealth(t, a.root, http.StatusOK)
	l.number = 100 // paths of another length leave another rest
	a.untilUnknown(func() error { return l.write(a.root, 100) })

	a.free(everything)
	l.must(a.root, 10, 100)
	l.compare(a.root)
	a.wantWholeLines()
}

func TestATokenWhoseAnswerIsNotOnRecordIsRevoked(t *testing.T) {
	a := startAudited(t)
	count := func() int {
		t.Helper()
		s, err := a.root.List(t.Context(), "auth/token/accessors")
		if err != nil {
			t.Fatal(err)
		}
		keys, _ := s.Data["keys"].([]any)
		return len(keys)
	}
	before := count()
	a.fill()
	n := 0
	issued := a.untilUnknown(func() error {
		n++
		_, err := a.root.Write(t.Context(), "auth/token/create", map[string]any{"display_name": fmt.Sprint("n", n)})
		return err
	})
	a.free(everything)
	if after := count(); after != before+issued {
		t.Errorf("%d tokens, then %d were issued; now there are %d", before, issued, after)
	}
}
