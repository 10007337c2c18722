//go:build race

package soak

import "github.com/cofferhq/coffer/internal/servertest"

// With the race detector all memory is several times as large.
const (
	ownBuild = servertest.Raced
	mostRSS  = 512 << 20 // bytes
)
