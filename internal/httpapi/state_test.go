package httpapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// The answer is bare: its keys are the ids of requests, that of this one among
// them.
func TestRequestsUnderWayAreTold(t *testing.T) {
	s := newServer(t)
	var all map[string]map[string]string
	if err := json.Unmarshal(s.must(http.MethodGet, "/v1/sys/in-flight-req", "").body, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 {
		t.Fatalf("%d requests: %v", len(all), all)
	}
	for id, about := range all {
		if len(id) != 36 || about["request_path"] != "/v1/sys/in-flight-req" || about["request_method"] != http.MethodGet ||
			!strings.HasPrefix(about["client_remote_address"], "127.0.0.1:") || about["start_time"] != "2026-01-02T03:04:05Z" {
			t.Errorf("%s: %v", id, about)
		}
	}
}

// A page of the server's own origin needs no permission: browsers name the origin
// of its writes as well.
func TestPagesOfTheServerItselfMayUseIt(t *testing.T) {
	s := newServer(t)
	s.must(http.MethodPost, "/v1/sys/config/cors", `{"allowed_origins":"https://app.example.com"}`)
	s.must(http.MethodPost, "/v1/secret/data/a", `{"data":{}}`, "Origin", s.URL)
}
