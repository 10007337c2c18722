package event

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
	"sort"

	"github.com/cofferhq/coffer/internal/storage"
)

// recent is the newest events, in order of revision, for subscribers who come
// back.
type recent struct {
	max   int
	floor storage.Revision // newest revision of which not every event is here
	all   []*Message
	// whole says that floor is as low as the store can have it.
	whole bool
}

func (r *recent) add(m *Message) {
	r.all = append(r.all, m)
	if over := len(r.all) - r.max; over > 0 {
		r.floor, r.whole = r.all[over-1].Revision, true
		clear(r.all[:over]) // the array outlives the reslicing
		r.all = r.all[over:]
	}
}

// after returns the events after rev. The caller must not keep it.
func (r *recent) after(rev storage.Revision) []*Message {
	i := sort.Search(len(r.all), func(i int) bool { return r.all[i].Revision > rev })
	return r.all[i:]
}

// latest is as far as there are rows.
const latest storage.Revision = 1<<64 - 1

// collected is rows of the outbox, in order of revision.
type collected struct {
	all     []*Message
	dropped storage.Revision // newest revision of which an event was left out; zero: none
	pruned  storage.Revision // newest revision of which an event has been pruned
	at      storage.Revision // at which the rows were read
}

// collect reads the newest events after low, up to high, as many as are
// remembered. It reads the whole outbox, whose rows are in another order.
func (h *Hub) collect(ctx context.Context, low, high storage.Revision) (collected, error) {
	snap, err := h.Store.Snapshot(ctx)
	if err != nil {
		return collected{}, err
	}
	defer snap.Close()
	c := collected{at: snap.Revision()}
	if c.pruned, err = readFloor(ctx, snap.Get); err != nil {
		return collected{}, err
	}
	var newest oldestFirst
	for row, err := range snap.Range(ctx, Table(), "") {
		if err != nil {
			return collected{}, err
		}
		if row.Revision <= low || row.Revision > high {
			continue
		}
		heap.Push(&newest, row)
		if len(newest) > h.Recent {
			c.dropped = max(c.dropped, heap.Pop(&newest).(storage.Entry).Revision)
		}
	}
	slices.SortFunc(newest, func(a, b storage.Entry) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.Key, b.Key))
	})
	for _, row := range newest {
		// One commit can have several events: without one, it is not whole.
		if row.Revision <= c.dropped {
			continue
		}
		if m := h.message(row); m != nil {
			c.all = append(c.all, m)
		}
	}
	return c, nil
}

// oldestFirst is a heap of rows.
type oldestFirst []storage.Entry

func (o oldestFirst) Len() int           { return len(o) }
func (o oldestFirst) Less(i, j int) bool { return o[i].Revision < o[j].Revision }
func (o oldestFirst) Swap(i, j int)      { o[i], o[j] = o[j], o[i] }
func (o *oldestFirst) Push(x any)        { *o = append(*o, x.(storage.Entry)) }
func (o *oldestFirst) Pop() any {
	last := len(*o) - 1
	row := (*o)[last]
	(*o)[last] = storage.Entry{}
	*o = (*o)[:last]
	return row
}

// remember reads events from before the hub began to follow, for a subscriber
// that goes on from since. Those who come at the same time share it.
func (h *Hub) remember(ctx context.Context, since storage.Revision) error {
	h.loading.Lock()
	defer h.loading.Unlock()
	h.mu.Lock()
	floor, whole := h.recent.floor, h.recent.whole
	h.mu.Unlock()
	if since >= floor || whole {
		return nil
	}
	rows, err := h.collect(ctx, 0, floor)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.recent.floor != floor || h.recent.whole { // events have come meanwhile, more than fit
		return nil
	}
	all := append(rows.all, h.recent.all...)
	h.recent.all, h.recent.floor, h.recent.whole = nil, max(rows.dropped, rows.pruned), true
	for _, m := range all {
		h.recent.add(m)
	}
	return nil
}
