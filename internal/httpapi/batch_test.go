package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/api"
)

// batch posts reads and returns the answers.
func (s *server) batch(reads []api.BatchRead, header ...string) []api.BatchAnswer {
	s.t.Helper()
	body, err := json.Marshal(api.Batch{Requests: reads})
	if err != nil {
		s.t.Fatal(err)
	}
	a := s.must(http.MethodPost, "/v1/"+api.BatchPath, string(body), header...)
	var whole struct {
		Data api.BatchAnswers `json:"data"`
	}
	if err := json.Unmarshal(a.body, &whole); err != nil {
		s.t.Fatal(err)
	}
	if len(whole.Data.Responses) != len(reads) {
		s.t.Fatalf("%d answers to %d reads", len(whole.Data.Responses), len(reads))
	}
	return whole.Data.Responses
}

func TestEachReadOfABatchIsAnsweredOnItsOwn(t *testing.T) {
	s := newServer(t)
	s.must(http.MethodPost, "/v1/secret/data/app/db", `{"data":{"password":"one"}}`)
	s.must(http.MethodPost, "/v1/secret/data/app/db", `{"data":{"password":"two"}}`)
	s.must(http.MethodPost, "/v1/secret/data/other", `{"data":{"password":"other"}}`)
	tag := s.must(http.MethodGet, "/v1/secret/data/app/db", "").header.Get("ETag")
	token := s.reader("secret/data/app/*")
	tests := []struct {
		name string
		read api.BatchRead
		want int
		has  string // in the answer
	}{
		{"the newest version", api.BatchRead{Path: "secret/data/app/db"}, 200, `"two"`},
		{"with a leading slash", api.BatchRead{Path: "/secret/data/app/db"}, 200, `"two"`},
		{"an older version", api.BatchRead{Path: "secret/data/app/db", Version: 1}, 200, `"one"`},
		{"one that is known", api.BatchRead{Path: "secret/data/app/db", IfNoneMatch: tag}, 304, ""},
		{"an older version, of which another is known", api.BatchRead{Path: "secret/data/app/db", Version: 1, IfNoneMatch: tag}, 200, `"one"`},
		{"what is not there", api.BatchRead{Path: "secret/data/app/none"}, 404, ""},
		{"what the caller may not read", api.BatchRead{Path: "secret/data/other"}, 403, ""},
		{"no path", api.BatchRead{}, 400, ""},
		{"a parent reference", api.BatchRead{Path: "secret/data/app/../other"}, 400, ""},
		{"a batch", api.BatchRead{Path: api.BatchPath}, 403, ""},
		{"another namespace", api.BatchRead{Path: "secret/data/app/db", Namespace: "team"}, 404, ""},
	}
	var reads []api.BatchRead
	for _, tt := range tests {
		reads = append(reads, tt.read)
	}
	answers := s.batch(reads, "X-Vault-Token", token)
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := answers[i]
			if a.Status != tt.want || !strings.Contains(string(a.Answer), tt.has) || (tt.has == "") != (a.Answer == nil) {
				t.Errorf("%+v %s", a, a.Answer)
			}
			if (a.ETag != "") != (tt.want == 200 || tt.want == 304) {
				t.Errorf("tag %q", a.ETag)
			}
			if refused := tt.want == 403 || tt.want == 400; refused != (len(a.Errors) > 0) && tt.want != 404 {
				t.Errorf("errors %q", a.Errors)
			}
		})
	}
}

func TestEachReadOfABatchIsOnRecord(t *testing.T) {
	s := newServer(t)
	s.must(http.MethodPost, "/v1/secret/data/a", `{"data":{"password":"one"}}`)
	file := filepath.Join(t.TempDir(), "audit.log")
	s.must(http.MethodPut, "/v1/sys/audit/file", `{"type":"file","options":{"file_path":"`+file+`"}}`)
	token := s.reader("secret/data/a")
	before := lines(t, file, token)
	s.batch([]api.BatchRead{{Path: "secret/data/a"}, {Path: "secret/data/b"}, {Path: "secret/data/a"}}, "X-Vault-Token", token)
	after := lines(t, file, token)[len(before):]
	var got []string
	for _, line := range after {
		var e struct {
			Type    string
			Error   string
			Request struct{ Path, Operation string }
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.TrimSpace(fmt.Sprint(e.Type, " ", e.Request.Operation, " ", e.Request.Path, " ", e.Error)))
	}
	want := []string{
		"request read secret/data/a", "response read secret/data/a",
		"request read secret/data/b permission denied", "response read secret/data/b permission denied",
		"request read secret/data/a", "response read secret/data/a",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
}

// lines are those of an audit file, in which token must not be.
func lines(t *testing.T, file, token string) []string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), token) {
		t.Error("the audit has the token")
	}
	return strings.Split(strings.TrimSpace(string(raw)), "\n")
}

func TestEachReadOfABatchUsesTheToken(t *testing.T) {
	s := newServer(t)
	s.must(http.MethodPost, "/v1/secret/data/a", `{"data":{"password":"one"}}`)
	s.must(http.MethodPut, "/v1/sys/policies/acl/reader", `{"policy":"path \"secret/data/a\" { capabilities = [\"read\"] }"}`)
	token := s.must(http.MethodPost, "/v1/auth/token/create", `{"policies":["reader"],"num_uses":2}`).text(t, "auth.client_token")
	a := api.BatchRead{Path: "secret/data/a"}
	answers := s.batch([]api.BatchRead{a, a, a}, "X-Vault-Token", token)
	if answers[0].Status != 200 || answers[1].Status != 200 || answers[2].Status != 403 {
		t.Errorf("%+v", answers)
	}
}

func TestEachReadOfABatchCountsAgainstAQuota(t *testing.T) {
	s := newServer(t)
	s.must(http.MethodPost, "/v1/secret/data/a", `{"data":{"password":"one"}}`)
	s.must(http.MethodPost, "/v1/sys/quotas/rate-limit/few", `{"path":"secret/","rate":2,"interval":"1h"}`)
	a := api.BatchRead{Path: "secret/data/a"}
	answers := s.batch([]api.BatchRead{a, a, a})
	if answers[0].Status != 200 || answers[1].Status != 200 || answers[2].Status != 429 {
		t.Errorf("%+v", answers)
	}
}

func TestLargeAnswersEndABatch(t *testing.T) {
	s := newServer(t)
	large := strings.Repeat("x", 600<<10)
	s.must(http.MethodPost, "/v1/secret/data/large", `{"data":{"text":"`+large+`"}}`)
	a := api.BatchRead{Path: "secret/data/large"}
	answers := s.batch([]api.BatchRead{a, a, a})
	if answers[0].Status != 200 || answers[1].Status != 200 || answers[2].Status != 413 {
		t.Errorf("%d %d %d", answers[0].Status, answers[1].Status, answers[2].Status)
	}
}

func TestABatchThatIsNone(t *testing.T) {
	s := newServer(t)
	many := `{"requests":[` + strings.Repeat(`{"path":"a"},`, api.MaxBatch) + `{"path":"a"}]}`
	for _, tt := range []struct {
		name, method, body string
		header             []string
		want               int
	}{
		{"no body", "POST", "", nil, 400},
		{"no reads", "POST", `{"requests":[]}`, nil, 400},
		{"something else", "POST", `{"requests":"secret"}`, nil, 400},
		{"no JSON", "POST", `{"requests":`, nil, 400},
		{"too many", "POST", many, nil, 400},
		{"a large body", "POST", `{"requests":[{"path":"` + strings.Repeat("x", 200<<10) + `"}]}`, nil, 413},
		{"wrapped", "POST", `{"requests":[{"path":"secret/data/a"}]}`, []string{"X-Vault-Wrap-TTL", "60s"}, 400},
		{"a read", "GET", "", nil, 405},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a := s.do(tt.method, "/v1/"+api.BatchPath, tt.body, tt.header...); a.status != tt.want {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	if a := newSealed(t).do(http.MethodPost, "/v1/"+api.BatchPath, `{"requests":[{"path":"secret/data/a"}]}`); a.status != 503 {
		t.Errorf("sealed: %d", a.status)
	}
}
