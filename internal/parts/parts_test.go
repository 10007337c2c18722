package parts_test

import (
	"net"
	"os"
	"testing"

	"github.com/cofferhq/coffer/internal/parts"
)

func TestMain(m *testing.M) { os.Exit(parts.Main(m)) }

func TestServersListenOnLoopbackAndAreShared(t *testing.T) {
	for name, start := range map[string]func(testing.TB) parts.Server{
		"PostgreSQL": parts.PostgreSQL,
		"MariaDB":    parts.MariaDB,
		"Redis":      parts.Redis,
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			c, err := net.Dial("tcp", s.Address())
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			if again := start(t); again != s {
				t.Errorf("a second server: %v, %v", s, again)
			}
		})
	}
}
