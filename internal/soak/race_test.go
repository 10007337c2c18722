//go:build race

package soak

import "github.com/cofferhq/coffer/internal/servertest"

const ownBuild = servertest.Raced

// memoryOf is what is bounded. The race detector has memory of its own beside all
// that the server uses, and gives none of it back: it is left out.
func memoryOf(u usage) int64 { return u.own }

const mostMemory = 512 << 20 // bytes
