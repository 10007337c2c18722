package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// The baseline is only worth something if it sends the same bytes.
func TestTheBareHandlerRepeatsAnAnswer(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		w.Write([]byte(`{"data":1}`))
	}))
	defer origin.Close()
	r, err := http.NewRequest(http.MethodGet, origin.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := ask(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	got := httptest.NewRecorder()
	a.handler().ServeHTTP(got, httptest.NewRequest(http.MethodGet, "/any", nil))
	if got.Code != http.StatusAccepted || got.Body.String() != `{"data":1}` {
		t.Errorf("got %d %q", got.Code, got.Body)
	}
	for key, want := range map[string]string{
		"Cache-Control": "no-store", "Content-Type": "application/json", "Content-Length": "10", "Connection": "", "Date": "",
	} {
		if v := got.Header().Get(key); v != want {
			t.Errorf("%s: got %q, want %q", key, v, want)
		}
	}
}

func TestAnErrorIsNoBaseline(t *testing.T) {
	origin := httptest.NewServer(http.NotFoundHandler())
	defer origin.Close()
	r, err := http.NewRequest(http.MethodGet, origin.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t.Context(), r); err == nil {
		t.Error("a 404 was accepted")
	}
}
