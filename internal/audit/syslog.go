package audit

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

const (
	// syslogTime is how long a line waits for the system's logger.
	syslogTime = 2 * time.Second

	// severityInfo is that of all lines (RFC 3164 §4.1.1).
	severityInfo = 6
)

// facilities are the names that Vault knows, with their numbers (RFC 3164 §4.1.1).
var facilities = map[string]int{
	"KERN": 0, "USER": 1, "MAIL": 2, "DAEMON": 3, "AUTH": 4, "SYSLOG": 5, "LPR": 6, "NEWS": 7, "UUCP": 8, "CRON": 9,
	"AUTHPRIV": 10, "FTP": 11, "LOCAL0": 16, "LOCAL1": 17, "LOCAL2": 18, "LOCAL3": 19, "LOCAL4": 20, "LOCAL5": 21,
	"LOCAL6": 22, "LOCAL7": 23,
}

// loggers are where systems have their logger listen.
var loggers = []string{"/dev/log", "/var/run/syslog", "/var/run/log"}

func parseFacility(text string) (int, error) {
	n, ok := facilities[strings.ToUpper(text)]
	if !ok {
		return 0, logical.Invalid("%q is no facility", text)
	}
	return n, nil
}

// openSyslog returns the sink that sends to the logger of this machine at one of
// some addresses. Package log/syslog is of no use here: it waits without end.
func openSyslog(addresses []string, facility int, tag string) Sink {
	var ways []dialing
	for _, address := range addresses {
		ways = append(ways,
			dialing{network: "unixgram", address: address},
			dialing{network: "unix", address: address, stream: true})
	}
	head := "<" + strconv.Itoa(facility<<3|severityInfo) + ">"
	rest := " " + tag + "[" + strconv.Itoa(os.Getpid()) + "]: "
	var buf []byte // it is one line's turn at a time
	frame := func(line []byte, stream bool) []byte {
		if !stream { // a message ends itself
			line = line[:len(line)-1]
		}
		if cap(buf) > maxKeptBytes {
			buf = nil
		}
		buf = append(buf[:0], head...)
		buf = time.Now().AppendFormat(buf, time.Stamp)
		buf = append(buf, rest...)
		buf = append(buf, line...)
		return buf
	}
	return newRemote(ways, syslogTime, frame)
}
