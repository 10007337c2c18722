package server

import (
	"bufio"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hostInfo tells about the machine what sys/host-info of Vault tells, as far as
// Linux's /proc knows it.
func hostInfo(dataDir string) (any, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return nil, err
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	about := map[string]any{
		"timestamp": now.Format(time.RFC3339Nano),
		"host": map[string]any{
			"hostname": host, "os": runtime.GOOS, "kernelVersion": unix.ByteSliceToString(uts.Release[:]),
			"kernelArch": unix.ByteSliceToString(uts.Machine[:]), "uptime": info.Uptime,
			"bootTime": now.Unix() - int64(info.Uptime), "procs": info.Procs,
		},
		"memory":    memory(),
		"cpu":       processors(),
		"cpu_times": processorTimes(),
		"disk":      []any{},
	}
	if dataDir != "" {
		var fs unix.Statfs_t
		if err := unix.Statfs(dataDir, &fs); err == nil {
			size := uint64(fs.Bsize)
			about["disk"] = []any{map[string]any{
				"path": dataDir, "total": fs.Blocks * size, "free": fs.Bavail * size,
				"used": (fs.Blocks - fs.Bfree) * size, "inodesTotal": fs.Files, "inodesFree": fs.Ffree,
			}}
		}
	}
	return about, nil
}

// memory reads /proc/meminfo; sizes are bytes.
func memory() map[string]any {
	names := map[string]string{
		"MemTotal": "total", "MemAvailable": "available", "MemFree": "free", "Cached": "cached",
		"Buffers": "buffers", "SwapTotal": "swapTotal", "SwapFree": "swapFree",
	}
	about := map[string]any{}
	eachLine("/proc/meminfo", func(line string) {
		key, rest, _ := strings.Cut(line, ":")
		if name, ok := names[key]; ok {
			kb, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err == nil {
				about[name] = kb << 10
			}
		}
	})
	return about
}

// processors reads /proc/cpuinfo.
func processors() []any {
	all := []any{}
	var one map[string]any
	eachLine("/proc/cpuinfo", func(line string) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		key = strings.TrimSpace(key)
		if key == "processor" {
			if n, err := strconv.Atoi(value); err == nil {
				one = map[string]any{"cpu": n, "cores": 1}
				all = append(all, one)
			}
			return
		}
		if one == nil {
			return // of the machine as a whole
		}
		switch key {
		case "vendor_id":
			one["vendorId"] = value
		case "model name":
			one["modelName"] = value
		case "cpu MHz":
			if mhz, err := strconv.ParseFloat(value, 64); err == nil {
				one["mhz"] = mhz
			}
		}
	})
	return all
}

// processorTimes reads /proc/stat; times are seconds since the start.
func processorTimes() []any {
	const ticks = 100 // a second, in what Linux shows to programs
	names := []string{"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guestNice"}
	all := []any{}
	eachLine("/proc/stat", func(line string) {
		words := strings.Fields(line)
		if len(words) == 0 || !strings.HasPrefix(words[0], "cpu") || words[0] == "cpu" {
			return
		}
		one := map[string]any{"cpu": words[0]}
		for i, word := range words[1:] {
			if n, err := strconv.ParseFloat(word, 64); err == nil && i < len(names) {
				one[names[i]] = n / ticks
			}
		}
		all = append(all, one)
	})
	return all
}

// eachLine calls fn for each line of a file, for none if it can't be read.
func eachLine(path string, fn func(line string)) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fn(lines.Text())
	}
}
