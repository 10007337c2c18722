package logical

import "time"

// Task is work that an engine puts off: a row of the due queue, which the core
// brings to [Engine.Work] when its time has come, again and again until that
// succeeds. A task outlives restarts, and goes with its mount.
type Task struct {
	At time.Time
	// Ref says what it is about. It is stored in the clear: a random id, never a
	// name that a user chose.
	Ref string
}

// TaskChange is a task to be put into the queue, or taken off it.
type TaskChange struct {
	Task   Task
	Cancel bool
}

// Schedule puts t into the queue, in the request's commit.
func (r *Request) Schedule(t Task) { r.Tasks = append(r.Tasks, TaskChange{Task: t}) }

// Cancel takes t off the queue, in the request's commit. A task that has failed
// and was put off stays: when it comes, its engine finds nothing to do.
func (r *Request) Cancel(t Task) { r.Tasks = append(r.Tasks, TaskChange{Task: t, Cancel: true}) }
