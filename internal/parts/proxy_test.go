package parts_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/parts"
)

// shouter answers each line in upper case, and tells which lines it has heard.
func shouter(t *testing.T) (address string, heard <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	lines := make(chan string, 16)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for in := bufio.NewScanner(c); in.Scan(); {
					lines <- in.Text()
					fmt.Fprintln(c, strings.ToUpper(in.Text()))
				}
			}()
		}
	}()
	return l.Addr().String(), lines
}

// client is a connection through the proxy.
type client struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, p *parts.Proxy) *client {
	t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.Port()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{t, c, bufio.NewReader(c)}
}

func (c *client) say(line string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c, line); err != nil {
		c.t.Error(err)
	}
}

func (c *client) hears(want string) {
	c.t.Helper()
	if got, err := c.in.ReadString('\n'); err != nil || got != want+"\n" {
		c.t.Errorf("heard %q, %v; want %q", got, err, want)
	}
}

// hearsNothing checks that no answer comes for a moment: that there is none can
// only be seen by waiting.
func (c *client) hearsNothing() {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	defer c.SetReadDeadline(time.Time{})
	if got, err := c.in.ReadString('\n'); err == nil {
		c.t.Errorf("heard %q", got)
	}
}

func (c *client) ends() {
	c.t.Helper()
	if got, err := c.in.ReadString('\n'); err == nil {
		c.t.Errorf("heard %q instead of the end", got)
	}
}

func TestProxyStallsAndGoesOn(t *testing.T) {
	address, heard := shouter(t)
	p := parts.NewProxy(t, address)
	c := dial(t, p)
	c.say("one")
	c.hears("ONE")
	p.Stall()
	c.say("two")
	c.hearsNothing()
	if len(heard) != 1 {
		t.Error("the server has heard what is held back")
	}
	p.Pass()
	c.hears("TWO")
}

func TestProxyMutesTheServer(t *testing.T) {
	address, heard := shouter(t)
	p := parts.NewProxy(t, address)
	c := dial(t, p)
	p.Mute()
	c.say("one")
	if got := <-heard; got != "one" {
		t.Errorf("the server heard %q", got)
	}
	c.hearsNothing()
	p.Pass()
	c.say("two")
	c.hears("TWO")
}

func TestProxyRefuses(t *testing.T) {
	address, _ := shouter(t)
	p := parts.NewProxy(t, address)
	before := dial(t, p)
	before.say("one")
	before.hears("ONE")
	p.Refuse()
	if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.Port())); err == nil { // or the reset came first
		refused := &client{t, c, bufio.NewReader(c)}
		refused.ends()
		c.Close()
	}
	before.say("two")
	before.hears("TWO")
	p.Cut()
	before.ends()
}

func TestProxyLosesOneAnswer(t *testing.T) {
	address, heard := shouter(t)
	p := parts.NewProxy(t, address)
	c := dial(t, p)
	lost := p.CutAfter("commit")
	c.say("begin")
	c.hears("BEGIN")
	<-heard
	fmt.Fprint(c, "com") // the text may come in two parts
	c.say("mit")
	if got := <-heard; got != "commit" {
		t.Errorf("the server heard %q", got)
	}
	<-lost
	c.ends()
	again := dial(t, p)
	again.say("commit")
	again.hears("COMMIT")
}
