package core

import "context"

// HandleUnobserved is Handle without the memory of who has read what, for a
// comparison.
func (c *Core) HandleUnobserved(ctx context.Context, call *Call) (*Answer, error) {
	v := &visit{Call: call}
	c.underway.enter(v)
	defer c.underway.leave(v)
	return c.answer(ctx, v)
}
