package rotationsoak

import (
	"bytes"
	"fmt"
	"html"
	"strings"
	"testing"
	"time"
)

// Measures of the picture, in its own units.
const (
	width, left, right = 1000, 44, 12
	top, between       = 56, 34 // above the first panel, and above each other one
	height             = 86     // of a panel
	bottom             = 40
	column             = 100 * time.Millisecond // what one bar stands for
	highest            = 4 * int(column/pace)   // bar: what comes after a stall would make the others small
)

// style has both a light and a dark form: the picture has its own background, and
// so can be read on any page.
const style = `
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .page { fill: #ffffff } .axis { stroke: #8c959f; fill: none } .dim { fill: #57606a }
  .good { fill: #4c8dc9 } .bad { fill: #d1242f }
  .new { stroke: #1a7f37; stroke-width: 1.5; fill: none } .old { stroke: #9a6700; stroke-width: 1.5; stroke-dasharray: 3 3; fill: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .page { fill: #0d1117 } .axis { stroke: #6e7681 } .dim { fill: #9198a1 }
    .good { fill: #388bfd } .bad { fill: #ff7b72 } .new { stroke: #3fb950 } .old { stroke: #e3b341 }
  }
`

// drawing is the picture as it grows.
type drawing struct {
	bytes.Buffer
	began  time.Time
	length time.Duration
}

func (d *drawing) add(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

// x is where a moment lies.
func (d *drawing) x(at time.Duration) float64 {
	return left + float64(width-left-right)*float64(at)/float64(d.length)
}

// picture draws for each application how many answers came in each tenth of a
// second, and when credentials changed.
func picture(apps []*application, w *watch, began, ended time.Time) []byte {
	d := &drawing{began: began, length: ended.Sub(began).Truncate(column) + column}
	total := top + len(apps)*(height+between) - between + bottom
	d.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img">`, width, total)
	d.add(`<title>Answers to requests while credentials rotate</title><style>%s</style>`, style)
	d.add(`<rect class="page" width="%d" height="%d"/>`, width, total)
	d.legend()
	for i, a := range apps {
		d.panel(top+i*(height+between), a, w)
	}
	d.times(total - bottom)
	d.add(`</svg>`)
	return d.Bytes()
}

func (d *drawing) legend() {
	d.add(`<rect class="good" x="%d" y="11" width="10" height="10"/><text x="%d" y="20">answers per 100 ms</text>`, left, left+16)
	d.add(`<rect class="bad" x="200" y="11" width="10" height="10"/><text x="216" y="20">failures per 100 ms</text>`)
	d.add(`<path class="new" d="M365 9v14"/><text x="373" y="20">a new credential is published</text>`)
	d.add(`<path class="old" d="M565 9v14"/><text x="573" y="20">the old one is dead</text>`)
}

// panel draws one application, whose panel begins at y.
func (d *drawing) panel(y int, a *application, w *watch) {
	good, bad := d.columns(&a.load)
	unit := float64(height) / float64(highest)
	d.add(`<text x="%d" y="%d">%s <tspan class="dim">– %d requests, %d failed</tspan></text>`,
		left, y-6, html.EscapeString(a.name), len(a.load.all), len(a.load.failures()))
	var goods, bads strings.Builder
	wide := d.x(column) - d.x(0)
	for i := range good {
		x, low := d.x(time.Duration(i)*column), float64(y+height)
		failed := min(bad[i], highest)
		bar(&bads, x, low, wide, unit*float64(failed))
		bar(&goods, x, low-unit*float64(failed), wide, unit*float64(min(good[i], highest-failed)))
	}
	d.add(`<path class="good" d="%s"/><path class="bad" d="%s"/>`, &goods, &bads)
	if a.strict {
		for _, one := range w.ended() {
			d.line("new", y, one.Published)
			d.line("old", y, one.Retired)
		}
	} else {
		for _, at := range w.replaced {
			d.line("new", y, at)
		}
	}
	d.add(`<path class="axis" d="M%d %dV%dH%d"/>`, left, y, y+height, width-right)
	d.add(`<text class="dim" x="%d" y="%d" text-anchor="end">≥%d</text>`, left-5, y+10, highest)
	d.add(`<text class="dim" x="%d" y="%d" text-anchor="end">0</text>`, left-5, y+height)
}

// bar adds a bar to a path, from low upwards.
func bar(path *strings.Builder, x, low, wide, high float64) {
	if high > 0 {
		fmt.Fprintf(path, "M%.1f %.1fv%.1fh%.1fv%.1fz", x, low, -high, wide*.85, high)
	}
}

func (d *drawing) line(class string, y int, at time.Time) {
	if since := at.Sub(d.began); since >= 0 && since <= d.length {
		d.add(`<path class="%s" d="M%.1f %dv%d"/>`, class, d.x(since), y, height)
	}
}

// columns counts answers and failures in the order of their arrival.
func (d *drawing) columns(l *load) (good, bad []int) {
	n := int(d.length/column) + 1
	good, bad = make([]int, n), make([]int, n)
	for _, r := range l.all {
		i := min(max(int(r.ended.Sub(d.began)/column), 0), n-1)
		if r.failure == "" {
			good[i]++
		} else {
			bad[i]++
		}
	}
	return good, bad
}

// times labels the axis that the panels share.
func (d *drawing) times(y int) {
	step := time.Second
	for d.length/step > 15 {
		step += 4 * time.Second
	}
	for at := time.Duration(0); at <= d.length; at += step {
		d.add(`<path class="axis" d="M%.1f %dv4"/><text class="dim" x="%.1f" y="%d" text-anchor="middle">%d</text>`,
			d.x(at), y, d.x(at), y+17, at/time.Second)
	}
	d.add(`<text class="dim" x="%d" y="%d" text-anchor="middle">seconds</text>`, (width+left)/2, y+33)
}

func TestAPictureShowsFailuresAndChanges(t *testing.T) {
	began := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	a := &application{name: "a <b>", strict: true}
	for i := range 40 {
		r := request{began: began, ended: began.Add(time.Duration(i) * 50 * time.Millisecond)}
		if i == 7 {
			r.failure = "refused"
		}
		a.load.add(r)
	}
	w := newWatch(nil, rotation{}, "")
	w.attempts[1] = attempt{Number: 1, Published: began.Add(time.Second), Retired: began.Add(1500 * time.Millisecond)}
	text := string(picture([]*application{a}, w, began, began.Add(2*time.Second)))
	for _, want := range []string{"a &lt;b&gt;", "40 requests, 1 failed", `class="bad" d="M`, `class="new" d="M`, `class="old" d="M`, ">seconds<"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}
