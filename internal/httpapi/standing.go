package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/cofferhq/coffer/internal/quota"
)

// tellStanding puts what a quota leaves to the client into the headers that
// Vault has for it.
func tellStanding(header http.Header, s *quota.Standing) {
	reset := strconv.FormatInt(int64((s.Reset+time.Second-1)/time.Second), 10)
	header.Set("X-Ratelimit-Limit", strconv.FormatInt(s.Limit, 10))
	header.Set("X-Ratelimit-Remaining", strconv.FormatInt(s.Remaining, 10))
	header.Set("X-Ratelimit-Reset", reset)
	if s.Refused {
		header.Set("Retry-After", reset)
	}
}
