//go:build !race

package soak

import "github.com/cofferhq/coffer/internal/servertest"

const ownBuild = servertest.Plain

// memoryOf is what is bounded.
func memoryOf(u usage) int64 { return u.rss }

// mostMemory is three times what 3,000 connections take that wait for an answer: the
// collector lets the heap grow to the double.
const mostMemory = 384 << 20 // bytes
