package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/auth/approle"
)

// retryAfter is how long to wait for a server that cannot be reached.
const retryAfter = 5 * time.Second

// vault is a login to the server, kept alive, and the three secrets there. It is
// safe for concurrent use.
type vault struct {
	client *api.Client
	auth   api.AuthMethod
	mount  string // of the key-value engine, version 2

	database, api, tls string // paths below the mount

	cancel context.CancelFunc
	done   chan struct{} // closed when keepAlive has returned

	relogin sync.Mutex // held by whoever replaces the token
}

// login logs in with AppRole and keeps the login alive until Close.
func login(ctx context.Context, getenv func(string) string) (*vault, error) {
	for _, name := range []string{"VAULT_ADDR", "VAULT_ROLE_ID", "VAULT_SECRET_ID"} {
		if getenv(name) == "" {
			return nil, fmt.Errorf("%s not set", name)
		}
	}
	config := api.DefaultConfig() // reads VAULT_CACERT and its like
	if config.Error != nil {
		return nil, config.Error
	}
	config.Address = getenv("VAULT_ADDR")
	client, err := api.NewClient(config)
	if err != nil {
		return nil, err
	}
	client.ClearToken() // it may have taken the developer's, from VAULT_TOKEN
	auth, err := approle.NewAppRoleAuth(getenv("VAULT_ROLE_ID"),
		&approle.SecretID{FromString: getenv("VAULT_SECRET_ID")})
	if err != nil {
		return nil, err
	}
	answer, err := client.Auth().Login(ctx, auth)
	if err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	background, cancel := context.WithCancel(context.Background())
	v := &vault{
		client: client, auth: auth,
		mount:    cmp.Or(getenv("SECRET_MOUNT"), "secret"),
		database: cmp.Or(getenv("DATABASE_SECRET"), "app/database"),
		api:      cmp.Or(getenv("API_SECRET"), "app/api"),
		tls:      cmp.Or(getenv("TLS_SECRET"), "app/tls"),
		cancel:   cancel, done: make(chan struct{}),
	}
	go v.keepAlive(background, answer)
	return v, nil
}

func (v *vault) Name() string { return "vault" }

// Read asks the server for the newest versions. Certificate and key are of one
// read: between two, a rotation may happen.
func (v *vault) Read(ctx context.Context) (*secrets, error) {
	database, err := v.read(ctx, v.database, "url")
	if err != nil {
		return nil, err
	}
	key, err := v.read(ctx, v.api, "key")
	if err != nil {
		return nil, err
	}
	pair, err := v.read(ctx, v.tls, "certificate", "private_key")
	if err != nil {
		return nil, err
	}
	s, err := newSecrets(database.texts[0], key.texts[0], pair.texts[0], pair.texts[1])
	if err != nil {
		return nil, err
	}
	s.versions = map[string]int{"database": database.version, "api": key.version, "tls": pair.version}
	return s, nil
}

// version is some keys of one version of a secret.
type version struct {
	texts   []string
	version int
}

func (v *vault) read(ctx context.Context, path string, keys ...string) (version, error) {
	s, err := again(ctx, v, func() (*api.KVSecret, error) {
		return v.client.KVv2(v.mount).Get(ctx, path)
	})
	if err != nil {
		return version{}, err
	}
	found := version{version: s.VersionMetadata.Version}
	for _, key := range keys {
		text, ok := s.Data[key].(string)
		if !ok {
			return version{}, fmt.Errorf("the secret %s has no key %s", path, key)
		}
		found.texts = append(found.texts, text)
	}
	return found, nil
}

// RotateAPIKey sets the one key of the secret. The server merges it with the
// others, so that nothing anybody writes meanwhile is lost. It takes the
// capability "patch".
func (v *vault) RotateAPIKey(ctx context.Context, key string) (int, error) {
	s, err := again(ctx, v, func() (*api.KVSecret, error) {
		return v.client.KVv2(v.mount).Patch(ctx, v.api, map[string]any{"key": key})
	})
	if err != nil {
		return 0, err
	}
	return s.VersionMetadata.Version, nil
}

// again makes a call, once more after a new login if the token has died.
func again[T any](ctx context.Context, v *vault, call func() (T, error)) (T, error) {
	token := v.client.Token()
	got, err := call()
	// The same answer is given to a token that is gone and to one without the
	// right: only the first can be helped.
	if !isForbidden(err) || !v.tokenIsGone(ctx) {
		return got, err
	}
	v.relogin.Lock()
	if v.client.Token() == token { // else another goroutine has done it
		_, err = v.client.Auth().Login(ctx, v.auth)
	} else {
		err = nil
	}
	v.relogin.Unlock()
	if err != nil {
		return got, fmt.Errorf("log in again: %w", err)
	}
	return call()
}

func (v *vault) tokenIsGone(ctx context.Context) bool {
	_, err := v.client.Auth().Token().LookupSelfWithContext(ctx)
	return isForbidden(err)
}

func isForbidden(err error) bool {
	var answer *api.ResponseError
	return errors.As(err, &answer) && answer.StatusCode == http.StatusForbidden
}

// keepAlive renews the token until ctx ends, and logs in again when it cannot be
// renewed any more.
func (v *vault) keepAlive(ctx context.Context, answer *api.Secret) {
	defer close(v.done)
	for {
		if err := v.renew(ctx, answer); err != nil {
			slog.Warn("renew the token", "error", err)
		}
		for answer = nil; answer == nil; {
			if ctx.Err() != nil {
				return
			}
			var err error
			if answer, err = v.loginAgain(ctx); err != nil {
				slog.Error("log in again", "error", err)
				sleep(ctx, retryAfter)
			}
		}
	}
}

// renew renews the token of answer until that is no longer possible or ctx ends.
// A token that never expires needs nothing.
func (v *vault) renew(ctx context.Context, answer *api.Secret) error {
	if answer.Auth.LeaseDuration == 0 {
		<-ctx.Done()
		return nil
	}
	w, err := v.client.NewLifetimeWatcher(&api.LifetimeWatcherInput{Secret: answer})
	if err != nil {
		return err
	}
	go w.Start()
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-w.DoneCh():
			return err
		case <-w.RenewCh():
		}
	}
}

func (v *vault) loginAgain(ctx context.Context) (*api.Secret, error) {
	v.relogin.Lock()
	defer v.relogin.Unlock()
	return v.client.Auth().Login(ctx, v.auth)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Close stops renewing and gives the token back: one that nobody needs is only
// there to be stolen.
func (v *vault) Close() error {
	v.cancel()
	<-v.done
	ctx, cancel := context.WithTimeout(context.Background(), retryAfter)
	defer cancel()
	if err := v.client.Auth().Token().RevokeSelfWithContext(ctx, ""); err != nil {
		return fmt.Errorf("revoke the token: %w", err)
	}
	return nil
}
