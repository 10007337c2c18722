package main

import (
	"bytes"
	"math"
	"net/http"
	"strings"
	"testing"
)

func TestParseLoad(t *testing.T) {
	const head = "Running 2s test @ http://127.0.0.1:1\n  Requests/sec:   1.0\n"
	for _, tt := range []struct {
		name string
		out  string
		want load
		err  string // part of it; empty: none
	}{
		{"the line of the script", head + "measured 1000 2000000 150 900 0\n", load{requests: 1000, rate: 500, p50: 150e-6, p99: 900e-6}, ""},
		{"an answer that failed fails the round", head + "measured 1000 2000000 150 900 3\n", load{}, "3 of 1000 requests failed"},
		{"no answer at all", head + "measured 0 2000000 0 0 0\n", load{}, "no request was answered"},
		{"no line", head, load{}, "no figures"},
		{"a torn line", head + "measured 1000 20", load{}, "parse"},
		{"a negative number", head + "measured -1 1 1 1 0\n", load{}, "parse"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseLoad(tt.out)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got error %v, want %q in it", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, figure := range []func(load) float64{rateOf, p50Of, p99Of, cpuOf} {
				if math.Abs(figure(got)-figure(tt.want)) > 1e-9 {
					t.Fatalf("got %+v, want %+v", got, tt.want)
				}
			}
		})
	}
}

func TestRequestsAreWrittenWithoutHeadersThatNobodyAskedFor(t *testing.T) {
	r, err := http.NewRequest("POST", "http://127.0.0.1:8200/v1/a%2Fb?list=true", strings.NewReader(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Vault-Token", "t")
	var got bytes.Buffer
	if err := writeRaw(&got, r); err != nil {
		t.Fatal(err)
	}
	want := "POST /v1/a%2Fb?list=true HTTP/1.1\r\nHost: 127.0.0.1:8200\r\nX-Vault-Token: t\r\nContent-Length: 7\r\n\r\n{\"a\":1}"
	if got.String() != want {
		t.Errorf("got %q, want %q", got.String(), want)
	}
}
