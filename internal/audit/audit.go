// Package audit records who asked for what and was answered what, in the lines
// that Vault's audit devices write: one JSON object each, before the work and
// before the answer, with secrets replaced by keyed hashes.
//
// Recorded means that write(2) has returned, or that the disk has the line if the
// device says so. A [Broker] gives each [Entry] to
// every [Device]; one that takes it is enough. What happens to requests that
// can't be recorded, and where salts and declarations are kept, is the caller's
// business.
//
// Start reading at [Broker.LogRequest], then [Entry]; data.go has the hashing
// and file.go and remote.go the writing.
package audit
