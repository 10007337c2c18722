// Package version says which coffer this is. It is vocabulary: constants, and
// what the linker and the Go toolchain know of the build.
package version

import "runtime/debug"

// The versions of the program and of the API it serves. Clients compare the API
// level with Vault's releases to decide what they may ask for.
const (
	API    = "1.19.0"
	Coffer = "0.1.0"
)

// buildDate is set by the linker: -X …/internal/version.buildDate=2026-01-02T03:04:05Z.
var buildDate string

// Full returns both versions as one: the API's, with ours as build metadata.
func Full() string { return API + "+coffer." + Coffer }

// BuildDate returns when the program was built or, failing that, when its last
// commit was made, in RFC 3339. Empty: nobody knows.
func BuildDate() string {
	if buildDate != "" {
		return buildDate
	}
	return buildSetting("vcs.time")
}

// Revision returns the commit the program was built from, or nothing.
func Revision() string { return buildSetting("vcs.revision") }

func buildSetting(key string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
