package httpapi

import (
	"strings"

	"github.com/cofferhq/coffer/internal/logical"
)

// maxTags bounds the tags of one request that are looked at.
const maxTags = 16

// tagText is a tag as a header has it (RFC 9110 §8.8.3). It is a weak one: two
// answers with the same secret have different request ids.
func tagText(tag string) string { return `W/"` + tag + `"` }

// parseTags returns the tags in headers If-None-Match (RFC 9110 §13.1.2), without
// quotes, weak ones and strong ones alike. It ends at the first that is none.
func parseTags(headers []string) []string {
	var tags []string
	for _, rest := range headers {
		for len(tags) < maxTags {
			rest = strings.TrimLeft(rest, ", \t")
			if rest == logical.AnyTag {
				tags = append(tags, logical.AnyTag)
				break
			}
			opened, ok := strings.CutPrefix(strings.TrimPrefix(rest, "W/"), `"`)
			if !ok {
				break
			}
			tag, after, closed := strings.Cut(opened, `"`)
			if !closed {
				break
			}
			if tag != logical.AnyTag { // in quotes it is a tag like others, and none of ours
				tags = append(tags, tag)
			}
			rest = after
		}
	}
	return tags
}
