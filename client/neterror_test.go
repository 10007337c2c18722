package client

import (
	"errors"
	"net"
)

// netOpError makes the errors of a dead network.
type netOpError struct{ op string }

func (e *netOpError) err() error {
	return &net.OpError{Op: e.op, Net: "tcp", Err: errors.New("gone")}
}
