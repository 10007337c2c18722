package consumer_test

import (
	"net/netip"
	"testing"

	"github.com/cofferhq/coffer/internal/consumer"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

// What the bookkeeping costs a read that shows nothing new.
func BenchmarkSaw(b *testing.B) {
	st := consumer.NewStore(inmem.New(), "root")
	caller := &logical.Caller{Accessor: "accessor-of-24-characters", DisplayName: "approle", Role: "web", Metadata: map[string]string{}}
	addr := netip.MustParseAddr("192.0.2.1")
	for _, tt := range []struct {
		name string
		typ  logical.TokenType
	}{{"service", logical.TokenService}, {"batch", logical.TokenBatch}} {
		b.Run(tt.name, func(b *testing.B) {
			own := *caller
			own.TokenType = tt.typ
			b.ReportAllocs()
			for b.Loop() {
				st.Saw(db, consumer.ReaderOf(&own, "cfb.a-token-of-some-length-that-is-not-short", addr, ""), 1, start)
			}
		})
	}
}
