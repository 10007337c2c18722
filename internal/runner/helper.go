package runner

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// helperVariable tells a process of our own program which part of a run it plays.
// Nobody sets it but us, and no program sees it.
const helperVariable = "_COFFER_RUN"

// Parts of a run that are processes of their own.
const (
	workerPart  = "worker"   // all of the run, below a process that reaps
	monitorPart = "monitor:" // parent of a program with its own terminal; where its files end, and the path, follow
)

// Helper plays the part that the environment names, and returns the exit code of
// the process. It returns false if there is none to be played here. Args are those
// of the program.
func Helper(env, args []string) (code int, ok bool) {
	part := partOf(env)
	part, isMonitor := strings.CutPrefix(part, monitorPart)
	first, path, _ := strings.Cut(part, ":")
	files, err := strconv.Atoi(first)
	if !isMonitor || err != nil || files < 3 || len(args) == 0 {
		return 0, false
	}
	hideProcess()
	return monitorProgram(files, path, args, withoutPart(env)), true
}

func partOf(env []string) string {
	for _, entry := range env {
		if part, ok := strings.CutPrefix(entry, helperVariable+"="); ok {
			return part
		}
	}
	return ""
}

func withoutPart(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool { return strings.HasPrefix(entry, helperVariable+"=") })
}

// ownProgram is where our program lies. It finds it even if another version has
// been installed in its place.
func ownProgram() (string, error) {
	if runtime.GOOS == "linux" {
		const self = "/proc/self/exe"
		if _, err := os.Stat(self); err == nil {
			return self, nil
		}
	}
	return os.Executable()
}
