package secrets

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/client"
)

const (
	staticCredentials = "/static-creds/"
	staticRoles       = "/static-roles/"
)

// topicOf returns the channel and the path of events that tell of changes of what is
// asked for; an empty path if none do: versions that are asked for by number do not
// change, and the end of a lease is known beforehand.
func (f *feed) topicOf() (at channel, topic string) {
	switch {
	case f.request.version != 0 || f.lease != nil:
		return channel{}, ""
	case f.kind == versioned, f.kind == unknown && f.answer.Version != 0:
		return channel{f.namespace, versionedEvents}, f.path
	}
	topic = f.path
	if _, ok := rotationOf(f.answer.data); ok {
		// The events of a static role are about the role.
		topic = strings.Replace(topic, staticCredentials, staticRoles, 1)
	}
	return channel{f.namespace, allEvents}, topic
}

const (
	// maxFilterTerms and maxFilterBytes bound the filters that are sent. Where they
	// do not suffice, all events that the token may have come, and are looked
	// through here.
	maxFilterTerms = 256
	maxFilterBytes = 32 << 10
)

// filterOf returns the filter of the events about the topics.
func filterOf(topics []string) string {
	if len(topics) > maxFilterTerms {
		return ""
	}
	filter := client.FilterPaths(topics...)
	if slices.ContainsFunc(topics, func(t string) bool { return strings.Contains(t, staticRoles) }) {
		// They have no data_path that a filter could ask for.
		filter += ` or event_type == "` + rotateEvent + `"`
	}
	if len(filter) > maxFilterBytes {
		return ""
	}
	return filter
}

// grantedBy returns of which topics the token may have events: the server says
// nothing of those that it holds back. Where that cannot be known, of none.
func grantedBy(ctx context.Context, c *client.Client, topics []string) map[string]bool {
	answer, err := c.Do(ctx, client.Request{
		Method: http.MethodPost, Path: "sys/capabilities-self", Body: map[string]any{"paths": topics},
	})
	if err != nil || answer == nil {
		return nil
	}
	granted := map[string]bool{}
	for _, topic := range topics {
		capabilities, _ := answer.Data[topic].([]any)
		granted[topic] = slices.ContainsFunc(capabilities, func(c any) bool { return c == "subscribe" || c == "root" })
	}
	return granted
}
