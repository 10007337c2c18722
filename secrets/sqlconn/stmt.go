package sqlconn

import (
	"context"
	"database/sql/driver"
	"errors"
)

// stmt is a statement of the driver. It is there for its Close, which database/sql
// calls also while the connection lies in the pool, just when that may be retired.
type stmt struct {
	driver.Stmt
	conn *conn
}

var (
	_ driver.StmtExecContext   = (*stmt)(nil)
	_ driver.StmtQueryContext  = (*stmt)(nil)
	_ driver.NamedValueChecker = (*stmt)(nil)
)

// columnConverter is what old drivers have in place of a NamedValueChecker.
type columnConverter interface {
	ColumnConverter(index int) driver.ValueConverter
}

// converter is a statement whose driver converts arguments by column. Others must
// not look as if they did.
type converter struct {
	*stmt
	columns columnConverter
}

var _ columnConverter = converter{}

func (c converter) ColumnConverter(index int) driver.ValueConverter {
	return c.columns.ColumnConverter(index)
}

func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	inner, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	s := &stmt{Stmt: inner, conn: c}
	if columns, ok := inner.(columnConverter); ok {
		return converter{s, columns}, nil
	}
	return s, nil
}

func (c *conn) prepare(ctx context.Context, query string) (driver.Stmt, error) {
	if p, ok := c.Conn.(driver.ConnPrepareContext); ok {
		return p.PrepareContext(ctx, query)
	}
	s, err := c.Conn.Prepare(query)
	if err == nil && ctx.Err() != nil {
		return nil, errors.Join(ctx.Err(), s.Close())
	}
	return s, err
}

// Close closes the statement, unless it has gone with its connection.
func (s *stmt) Close() error {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.conn.closed {
		return nil
	}
	return s.Stmt.Close()
}

func (s *stmt) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := s.Stmt.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return s.conn.CheckNamedValue(v)
}

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if e, ok := s.Stmt.(driver.StmtExecContext); ok {
		return e.ExecContext(ctx, args)
	}
	values, err := unnamed(ctx, args)
	if err != nil {
		return nil, err
	}
	//lint:ignore SA1019 it is all that an old driver has
	return s.Stmt.Exec(values)
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if q, ok := s.Stmt.(driver.StmtQueryContext); ok {
		return q.QueryContext(ctx, args)
	}
	values, err := unnamed(ctx, args)
	if err != nil {
		return nil, err
	}
	//lint:ignore SA1019 it is all that an old driver has
	return s.Stmt.Query(values)
}

// unnamed returns arguments for a driver that knows neither names nor contexts.
func unnamed(ctx context.Context, args []driver.NamedValue) ([]driver.Value, error) {
	values := make([]driver.Value, len(args))
	for i, arg := range args {
		if arg.Name != "" {
			return nil, errors.New("sqlconn: the driver does not support named arguments")
		}
		values[i] = arg.Value
	}
	return values, ctx.Err()
}
