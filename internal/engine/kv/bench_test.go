package kv

import (
	"strconv"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
)

const benchBody = `{"data":{"user":"v-app-7f3a","password":"correct horse battery staple","host":"db.internal.example.com","port":5432}}`

func BenchmarkRead(b *testing.B) {
	for _, c := range []struct{ name, version, path, read string }{
		{"version 1", "1", "app/db", "app/db"},
		{"version 2", "2", "data/app/db", "data/app/db"},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := serve(b, c.version)
			for range 10 {
				s.ok(logical.Write, c.path, benchBody)
			}
			b.ReportAllocs()
			for b.Loop() {
				s.ok(logical.Read, c.read, "")
			}
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, c := range []struct{ name, version, path string }{
		{"version 1", "1", "app/"},
		{"version 2", "2", "data/app/"},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := serve(b, c.version)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				s.ok(logical.Write, c.path+strconv.Itoa(n%1000), benchBody)
				n++
			}
		})
	}
}
