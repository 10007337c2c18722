package cli

import (
	"context"
	"errors"
	"time"

	"github.com/cofferhq/coffer/client"
)

// movePause is the time between questions how a move goes.
const movePause = time.Second

func (k mountKind) move(long string) Command {
	return Command{
		Name: k.group + " move", Args: "SOURCE DESTINATION", MinArgs: 2, MaxArgs: 2, Flags: ClientFlags,
		Short: "Give the " + k.what + " at a path another path", Long: long,
		New: func(*Flags) Run { return k.runMove },
	}
}

func (k mountKind) runMove(ctx context.Context, c *Call) error {
	from, err := c.mountArg(0)
	if err != nil {
		return err
	}
	to, err := c.mountArg(1)
	if err != nil {
		return err
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	s, err := cl.Write(ctx, "sys/remount", map[string]string{"from": k.prefix + from, "to": k.prefix + to})
	if err != nil {
		return failed(err, "moving %s %s to %s", k.what, from, to)
	}
	if s == nil {
		c.Success("Moved %s %s to: %s", k.what, from, to)
		return nil
	}
	id, _ := s.Data["migration_id"].(string)
	c.Print("Started moving " + k.what + " " + from + " to " + to + ", with migration ID " + id)
	if err := awaitMove(ctx, c, cl, id); err != nil {
		return failed(err, "moving %s %s to %s", k.what, from, to)
	}
	c.Success("Finished moving %s %s to %s, with migration ID %s", k.what, from, to, id)
	return nil
}

// awaitMove returns when the server has moved, or has failed to.
func awaitMove(ctx context.Context, c *Call, cl *client.Client, id string) error {
	for {
		s, err := cl.Read(ctx, "sys/remount/status/"+id)
		if err != nil {
			return err
		}
		if s == nil {
			return errNoAnswer
		}
		switch object(s.Data, "migration_info")["status"] {
		case "success":
			return nil
		case "failure":
			return errors.New("the server could not finish it: its log tells why")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.after(movePause):
		}
	}
}
