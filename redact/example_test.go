package redact_test

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/cofferhq/coffer/redact"
)

func ExampleRedactor_Writer() {
	r := redact.New(redact.WithNames())
	r.Set(redact.Secret("DB_PASSWORD", "hunter2!x"))
	w := r.Writer(os.Stdout)
	defer w.Close()
	fmt.Fprint(w, "connect with hunt")
	fmt.Fprintln(w, "er2!x")
	fmt.Fprintln(w, "postgres://app:hunter2%21x@db/app")
	// Output:
	// connect with [redacted:DB_PASSWORD]
	// postgres://app:[redacted:DB_PASSWORD]@db/app
}

func ExampleRedactor_Set() {
	r := redact.New()
	for _, warning := range r.Set(redact.Secret("API_KEY", "9f8a7d6c5b4e"), redact.Secret("PIN", "1234")) {
		fmt.Println(warning)
	}
	r.Set(redact.Secret("API_KEY", "0a1b2c3d4e5f")) // rotated: the old value is removed still
	fmt.Println(r.String("9f8a7d6c5b4e, then 0a1b2c3d4e5f"))
	// Output:
	// PIN is not removed from output: it has less than 6 bytes
	// [redacted], then [redacted]
}

func ExampleRedactor_Handler() {
	r := redact.New()
	r.Set(redact.Secret("API_KEY", "9f8a7d6c5b4e"))
	log := slog.New(r.Handler(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
	log.Info("refused", "key", "9f8a7d6c5b4e")
	// Output: level=INFO msg=refused key=[redacted]
}
