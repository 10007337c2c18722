//go:build !race

package server

const raceAllocations = 0
