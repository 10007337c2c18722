package audit

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

const (
	// pipeTime is how long a line waits for the reader of a pipe.
	pipeTime = 2 * time.Second

	// stalledTime is how long it waits once another has waited in vain: requests
	// that another device records, or none, should not be held up one by one.
	stalledTime = 10 * time.Millisecond
)

// pipe is a named pipe, whose reader may take its time. It is not opened to block.
type pipe struct {
	*os.File
	patience time.Duration // how long a line waits for the reader
	stalled  bool          // the last write took too long
}

func isPipe(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&fs.ModeNamedPipe != 0
}

// Write returns os.ErrDeadlineExceeded if the reader takes too long.
func (p *pipe) Write(lines []byte) (n int, err error) {
	wait := p.patience
	if p.stalled {
		wait = stalledTime
	}
	if err := p.SetWriteDeadline(time.Now().Add(wait)); err != nil {
		return 0, err
	}
	n, err = p.File.Write(lines)
	p.stalled = errors.Is(err, os.ErrDeadlineExceeded)
	return n, err
}
