package template

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
	"text/template"
)

// numberFunctions take their operands as consul-template does: the one that comes
// through a pipe, the last, stands left. {{ 5 | subtract 2 }} is 3.
var numberFunctions = template.FuncMap{
	"add":      arithmetic(func(a, b int64) (int64, error) { return b + a, nil }, func(a, b float64) float64 { return b + a }),
	"subtract": arithmetic(func(a, b int64) (int64, error) { return b - a, nil }, func(a, b float64) float64 { return b - a }),
	"multiply": arithmetic(func(a, b int64) (int64, error) { return b * a, nil }, func(a, b float64) float64 { return b * a }),
	"divide":   arithmetic(divide, func(a, b float64) float64 { return b / a }),
	"modulo":   arithmetic(modulo, func(a, b float64) float64 { return math.Mod(b, a) }),
	"minimum":  arithmetic(func(a, b int64) (int64, error) { return min(a, b), nil }, func(a, b float64) float64 { return min(a, b) }),
	"maximum":  arithmetic(func(a, b int64) (int64, error) { return max(a, b), nil }, func(a, b float64) float64 { return max(a, b) }),
}

func divide(a, b int64) (int64, error) {
	if a == 0 {
		return 0, errors.New("division by zero")
	}
	return b / a, nil
}

func modulo(a, b int64) (int64, error) {
	if a == 0 {
		return 0, errors.New("division by zero")
	}
	return b % a, nil
}

// number is a whole one or not.
type number struct {
	whole   int64
	float   float64
	isFloat bool
}

// numberOf reads any of Go's numbers, and those of secrets.
func numberOf(v any) (number, error) {
	if n, ok := v.(json.Number); ok {
		if i, err := n.Int64(); err == nil {
			return number{whole: i, float: float64(i)}, nil
		}
		f, err := strconv.ParseFloat(n.String(), 64)
		return number{float: f, isFloat: true}, unread(err, "a number")
	}
	switch r := reflect.ValueOf(v); {
	case !r.IsValid():
	case r.CanInt():
		return number{whole: r.Int(), float: float64(r.Int())}, nil
	case r.CanUint() && r.Uint() <= math.MaxInt64:
		return number{whole: int64(r.Uint()), float: float64(r.Uint())}, nil
	case r.CanFloat():
		return number{float: r.Float(), isFloat: true}, nil
	}
	return number{}, errors.New("the value is not a number")
}

// arithmetic makes a function of two numbers, whole if both are.
func arithmetic(whole func(a, b int64) (int64, error), float func(a, b float64) float64) func(a, b any) (any, error) {
	return func(a, b any) (any, error) {
		x, err := numberOf(a)
		if err != nil {
			return nil, err
		}
		y, err := numberOf(b)
		if err != nil {
			return nil, err
		}
		if x.isFloat || y.isFloat {
			return float(x.float, y.float), nil
		}
		return whole(x.whole, y.whole)
	}
}
