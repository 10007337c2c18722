package api

import "encoding/json"

// BatchPath is where many reads are made in one request. It is coffer's own: other
// servers do not have it.
const BatchPath = "sys/coffer/batch"

// MaxBatch is how many reads a batch may have.
const MaxBatch = 64

// Batch is the body of a request to [BatchPath].
type Batch struct {
	Requests []BatchRead `json:"requests"`
}

// BatchRead is one read. It is authorised, recorded and answered on its own.
type BatchRead struct {
	Path        string `json:"path"`                    // below /v1, without it: "secret/data/db"
	Version     int    `json:"version,omitempty"`       // zero: the newest
	Namespace   string `json:"namespace,omitempty"`     // empty: the request's
	IfNoneMatch string `json:"if_none_match,omitempty"` // ETag of the answer that the client has
}

// BatchAnswers is the data of the answer to a [Batch]: one for each read, in their
// order.
type BatchAnswers struct {
	Responses []BatchAnswer `json:"responses"`
}

// BatchAnswer is what a read would have been answered alone.
type BatchAnswer struct {
	Status int             `json:"status"` // of HTTP; 304: it is as IfNoneMatch says
	ETag   string          `json:"etag,omitempty"`
	Errors []string        `json:"errors,omitempty"`
	Hint   string          `json:"hint,omitempty"`
	Answer json.RawMessage `json:"answer,omitempty"` // the body: a [Secret]
}
