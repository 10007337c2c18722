//go:build race

package server

// The race detector allocates, too.
const raceAllocations = 15
