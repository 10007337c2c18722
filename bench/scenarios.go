package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// need is what a scenario has to be asked for with.
type need int

const (
	needsNothing need = iota
	needsLarge
	needsHuge
)

func (n need) remark() string {
	return [...]string{needsNothing: "", needsLarge: " (-large)", needsHuge: " (-huge)"}[n]
}

// met says whether o asks for it.
func (n need) met(o options) bool {
	return n == needsNothing || n == needsLarge && o.large || n == needsHuge && o.huge
}

// The areas of the page, each with a table of its own.
const (
	areaReads  = "Reads"
	areaWrites = "Writes and logins"
	areaStart  = "Start and size"
	areaMany   = "Many entries"
)

// scenario is one thing to measure.
type scenario struct {
	name  string
	area  string
	help  string
	needs need
	run   func(*lab, context.Context) ([]row, error)
}

// scenarios is all that can be measured, in the order of running: what must find
// a small server comes before what fills it.
var scenarios = []scenario{
	{"size", areaStart, "size of the binary", needsNothing, (*lab).binarySize},
	{"start", areaStart, "-dev: exec to the first 200 on sys/health", needsNothing, (*lab).devStart},
	{"idle", areaStart, "-dev: idle resident memory", needsNothing, (*lab).devMemory},
	{"read", areaReads, "KV v2 read over 10,000 secrets", needsNothing, (*lab).read},
	{"audit", areaReads, "the same with the file audit device", needsNothing, (*lab).auditedRead},
	{"list", areaReads, "list of 10,000 keys", needsNothing, (*lab).list},
	{"health", areaReads, "sys/health", needsNothing, (*lab).health},
	{"get", areaStart, "coffer kv get as a process", needsNothing, (*lab).kvGet},
	{"memory", areaStart, "idle resident memory of a server with 10,000 secrets", needsNothing, (*lab).serverMemory},
	{"write", areaWrites, "KV v2 write", needsNothing, (*lab).write},
	{"login", areaWrites, "AppRole login with a service token", needsNothing, (*lab).login},
	{"batch", areaWrites, "AppRole login with a batch token", needsNothing, (*lab).batchLogin},
	{"large", areaMany, "100,000 secrets and 100,000 tokens: restart and disk", needsLarge, (*lab).large},
	{"huge", areaMany, "1,000,000 token leases: restart, memory, mass expiry", needsHuge, (*lab).huge},
}

// choose returns the scenarios that o asks for.
func choose(o options) ([]scenario, error) {
	if o.only == "" {
		return slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool { return !s.needs.met(o) }), nil
	}
	var chosen []scenario
	for name := range strings.SplitSeq(o.only, ",") {
		at := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
		if at < 0 {
			return nil, fmt.Errorf("there is no scenario %q; bench -h lists them", name)
		}
		chosen = append(chosen, scenarios[at])
	}
	return chosen, nil
}
