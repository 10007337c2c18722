// Package secrets replaces references to secrets by the secrets themselves, and
// follows them: [Open], [OpenGroup] and [Watch] return values that are always the
// newest, of tokens and leases that are kept alive. A coffer server tells them of
// changes, any other is asked now and then. A reference is text that names a value
// in a server that speaks Vault's HTTP API:
//
//	vault:PATH#KEY[#VERSION]
//	ref+vault://PATH#/KEY
//	coffer://[NAMESPACE@]PATH#KEY
//	postgres://app:${vault:secret/db#password}@db/app
//
// The last is a text with a reference within. Only the three schemes are looked
// at: any other text, ${HOME} and https://… too, stays as it is, and so does
// what Vault's transit engine makes (vault:v1:…). $${vault: stands for a
// literal ${vault:, and likewise for the other schemes. A text that begins with
// a scheme and is no reference is an error, never a value.
//
// PATH is as the command line takes it (secret/db); on a mount of the key-value
// engine, version 2, data/ after the mount is added unless it is there. Any path
// that can be read will do. KEY is a field of what is read or, if it begins
// with a slash, a path into nested fields (RFC 6901). What is no string is given
// as compact JSON.
//
// Between PATH and # there may be parameters, in all three forms:
//
//	?version=N      that version; without it the newest
//	?namespace=NS   in place of the client's namespace
//	?default=TEXT   what to use if there is no such secret or field
//	?optional       no such secret or field is no error
//
// A default is for what is absent. A secret that the server refuses, or cannot
// give, is an error with or without one. In the vault: form path and key are
// taken as they are; in the other two, and in all parameters, %XX is decoded,
// which is how to write # in a key or @ in a path of the coffer: form.
//
// References in resolved values are not followed: who may write one secret must
// not choose which others are read.
//
// Start reading at [Open], at [Load] for structs, at [Transport] for keys of other
// APIs, or at [Parse] and [Resolver.Resolve].
package secrets
