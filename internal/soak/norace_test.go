//go:build !race

package soak

import "github.com/cofferhq/coffer/internal/servertest"

const (
	ownBuild = servertest.Plain
	mostRSS  = 256 << 20 // bytes
)
