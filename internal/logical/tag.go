package logical

import "slices"

// AnyTag stands, in [Request.Known], for every tag.
const AnyTag = "*"

// Knows says whether the caller has the answer with that tag already, so that a
// handler need only say so: see [Response.NotModified].
func (r *Request) Knows(tag string) bool {
	return slices.ContainsFunc(r.Known, func(known string) bool { return known == tag || known == AnyTag })
}
