package secrets

import (
	"slices"
	"time"
)

// SafetyInterval is how often the server is asked for what it tells by itself, more
// or less a fifth, unless the interval is longer.
const SafetyInterval = 5 * time.Minute

// subscribe joins the channels that tell of the feeds.
func (g *Group) subscribe() {
	if g.settings.polling {
		return
	}
	topics := map[channel][]string{}
	for _, f := range g.feeds {
		if at, topic := f.topicOf(); topic != "" {
			f.channel, f.topic = at, topic
			topics[at] = append(topics[at], topic)
		}
	}
	for at, all := range topics {
		slices.Sort(all)
		g.taps = append(g.taps, g.settings.session.pusher.join(at, slices.Compact(all), g.pushes))
	}
}

// hear takes what the streams have told.
func (g *Group) hear() {
	now := time.Now()
	for _, t := range g.taps {
		n := t.take()
		for _, f := range g.feeds {
			if f.topic != "" && f.channel == t.stream.channel {
				f.hear(n, g.settings, now)
			}
		}
	}
	g.weigh()
}

// weigh sets what Pushed returns.
func (g *Group) weigh() {
	g.pushing.Store(len(g.taps) > 0 && !slices.ContainsFunc(g.feeds, func(f *feed) bool { return f.topic != "" && !f.quiet() }))
}

func (f *feed) hear(n news, o *settings, now time.Time) {
	if needed := n.touched[f.topic]; needed > 0 {
		f.doubted = false
		f.touched = f.touched || needed > f.answer.Version || f.err != nil
	}
	f.touched = f.touched || n.stale
	was := f.quiet()
	f.pushed = n.up && n.granted[f.topic]
	if was && !f.quiet() {
		f.due = earlier(f.due, now.Add(o.jitter(o.interval)))
	}
}

// quiet says whether the server can be trusted to tell of changes.
func (f *feed) quiet() bool { return f.pushed && !f.doubted }

// pollInterval is when to look though nothing was told.
func (f *feed) pollInterval(o *settings) time.Duration {
	if f.quiet() {
		return max(o.interval, SafetyInterval)
	}
	return o.interval
}

// Pushed says whether the server tells of all changes the moment they happen, as
// coffer does to who may subscribe. If not, it is asked once an interval. What ends
// at a known time, such as a lease, does not count.
func (g *Group) Pushed() bool { return g.pushing.Load() }
