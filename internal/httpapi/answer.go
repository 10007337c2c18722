package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/cofferhq/coffer/api"
)

const (
	// answerRoom is for the large answers that clients have not taken yet.
	answerRoom = 32 << 20

	// answerPiece is what a client must take within Options.StallTime.
	answerPiece = 64 << 10
)

// write sends an answer and returns its status. Too many large ones that nobody
// takes are no reason to hold more: a read can be repeated. What changed something
// is sent all the same, as its answer is needed.
func (h *Handler) write(w http.ResponseWriter, r *http.Request, code int, body []byte) int {
	if len(body) > smallBytes {
		held, ok := h.answers.tryTake(int64(len(body)))
		defer func() { h.answers.giveBack(held) }()
		if !ok && onlyReads(r) {
			w.Header()["Retry-After"] = []string{"1"}
			writeErrors(w, http.StatusTooManyRequests, "", "too many large answers are under way: try again")
			return http.StatusTooManyRequests
		}
	}
	if len(body) > lengthIsKnown {
		w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	w.WriteHeader(code)
	h.writePieces(w, r, body)
	return code
}

// onlyReads says whether a request changes nothing.
func onlyReads(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == "LIST" || r.URL.Path == "/v1/"+api.BatchPath
}

// writePieces gives up when the client takes too long for a piece. On HTTP/1.1 the
// listener sees to that.
func (h *Handler) writePieces(w http.ResponseWriter, r *http.Request, body []byte) {
	if len(body) <= answerPiece || r.ProtoMajor < 2 || h.StallTime == 0 {
		w.Write(body)
		return
	}
	control := http.NewResponseController(w)
	for len(body) > 0 {
		piece := body[:min(len(body), answerPiece)]
		control.SetWriteDeadline(time.Now().Add(h.StallTime)) // a writer of HTTP/2 can
		if _, err := w.Write(piece); err != nil {
			return
		}
		body = body[len(piece):]
	}
}
