package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/auth/approle"
)

// goClient returns the official Go client for a server.
func goClient(t *testing.T, addr, token string) *vault.Client {
	t.Helper()
	config := vault.DefaultConfig()
	config.Address = addr
	c, err := vault.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	c.SetToken(token)
	return c
}

// try fails the test on an error.
func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// got fails the test on an error, else returns the value.
func got[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		try(t, err)
		return v
	}
}

func wantStatus(t *testing.T, err error, status int, text string) {
	t.Helper()
	var e *vault.ResponseError
	if !errors.As(err, &e) || e.StatusCode != status {
		t.Fatalf("got %v, want status %d", err, status)
	}
	if !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %q in it", err, text)
	}
}

func TestGoClientKVv2(t *testing.T) {
	addr := startDev(t)
	ctx := t.Context()
	kv := goClient(t, addr, rootToken).KVv2("secret")

	first := got(kv.Put(ctx, "app/db", map[string]any{"password": "one", "port": 5432}))(t)
	if first.VersionMetadata.Version != 1 {
		t.Errorf("first version is %d", first.VersionMetadata.Version)
	}
	_, err := kv.Put(ctx, "app/db", map[string]any{"password": "x"}, vault.WithCheckAndSet(0))
	wantStatus(t, err, 400, "check-and-set parameter did not match the current version")
	got(kv.Put(ctx, "app/db", map[string]any{"password": "two"}, vault.WithCheckAndSet(1)))(t)
	got(kv.Patch(ctx, "app/db", map[string]any{"user": "app"}, vault.WithMergeMethod("patch")))(t)

	now := got(kv.Get(ctx, "app/db"))(t)
	if now.VersionMetadata.Version != 3 || now.Data["password"] != "two" || now.Data["user"] != "app" {
		t.Errorf("after the patch: %+v %v", now.VersionMetadata, now.Data)
	}
	old := got(kv.GetVersion(ctx, "app/db", 1))(t)
	if old.Data["port"] != json.Number("5432") {
		t.Errorf("version 1: %v", old.Data)
	}
	try(t, kv.Delete(ctx, "app/db"))
	deleted := got(kv.Get(ctx, "app/db"))(t)
	if deleted.Data != nil || deleted.VersionMetadata.DeletionTime.IsZero() {
		t.Errorf("deleted: %+v", deleted)
	}
	try(t, kv.Undelete(ctx, "app/db", []int{3}))
	if back := got(kv.Get(ctx, "app/db"))(t); back.Data["user"] != "app" {
		t.Errorf("undeleted: %v", back.Data)
	}
	try(t, kv.Destroy(ctx, "app/db", []int{1}))
	try(t, kv.PutMetadata(ctx, "app/db", vault.KVMetadataPutInput{
		MaxVersions: 5, DeleteVersionAfter: 90 * time.Minute, CustomMetadata: map[string]any{"owner": "team"},
	}))
	meta := got(kv.GetMetadata(ctx, "app/db"))(t)
	if !meta.Versions["1"].Destroyed || meta.MaxVersions != 5 || meta.DeleteVersionAfter != 90*time.Minute ||
		meta.CustomMetadata["owner"] != "team" || meta.CurrentVersion != 3 {
		t.Errorf("metadata: %+v", meta)
	}
	rolled := got(kv.Rollback(ctx, "app/db", 2))(t)
	if rolled.VersionMetadata.Version != 4 {
		t.Errorf("rollback made version %d", rolled.VersionMetadata.Version)
	}
	try(t, kv.DeleteMetadata(ctx, "app/db"))
	if _, err := kv.Get(ctx, "app/db"); !errors.Is(err, vault.ErrSecretNotFound) {
		t.Errorf("after all is deleted: %v", err)
	}
}

func TestGoClientKVv1(t *testing.T) {
	c := goClient(t, startDev(t), rootToken)
	ctx := t.Context()
	try(t, c.Sys().Mount("old", &vault.MountInput{Type: "kv"}))
	kv := c.KVv1("old")
	try(t, kv.Put(ctx, "a/b", map[string]any{"k": "v", "n": json.Number("12345678901234567890")}))
	s := got(kv.Get(ctx, "a/b"))(t)
	if s.Data["k"] != "v" || s.Data["n"] != json.Number("12345678901234567890") {
		t.Errorf("read: %v", s.Data)
	}
	if s.Raw.LeaseDuration != 2764800 || s.Raw.LeaseID != "" {
		t.Errorf("lease: %d %q", s.Raw.LeaseDuration, s.Raw.LeaseID)
	}
	list := got(c.Logical().List("old/a"))(t)
	if keys, _ := list.Data["keys"].([]any); len(keys) != 1 || keys[0] != "b" {
		t.Errorf("list: %v", list.Data)
	}
	if none := got(c.Logical().List("old/none"))(t); none != nil {
		t.Errorf("list of nothing: %v", none)
	}
	try(t, kv.Delete(ctx, "a/b"))
	if _, err := kv.Get(ctx, "a/b"); !errors.Is(err, vault.ErrSecretNotFound) {
		t.Errorf("after delete: %v", err)
	}
}

// appRole sets up a role that may read below secret/app and returns its
// credentials.
func appRole(t *testing.T, c *vault.Client, options map[string]any) (roleID, secretID string) {
	t.Helper()
	try(t, c.Sys().PutPolicy("app", `path "secret/data/app/*" { capabilities = ["read"] }`))
	if auths := got(c.Sys().ListAuth())(t); auths["approle/"] == nil {
		try(t, c.Sys().EnableAuthWithOptions("approle", &vault.EnableAuthOptions{Type: "approle"}))
	}
	role := map[string]any{"token_policies": "app", "token_ttl": "1h", "token_max_ttl": "4h"}
	for k, v := range options {
		role[k] = v
	}
	got(c.Logical().Write("auth/approle/role/app", role))(t)
	id := got(c.Logical().Read("auth/approle/role/app/role-id"))(t)
	secret := got(c.Logical().Write("auth/approle/role/app/secret-id", nil))(t)
	return id.Data["role_id"].(string), secret.Data["secret_id"].(string)
}

func TestGoClientAppRole(t *testing.T) {
	addr := startDev(t)
	root := goClient(t, addr, rootToken)
	ctx := t.Context()
	roleID, secretID := appRole(t, root, nil)
	got(root.KVv2("secret").Put(ctx, "app/db", map[string]any{"password": "hunter2"}))(t)
	got(root.KVv2("secret").Put(ctx, "other/db", map[string]any{"password": "not yours"}))(t)

	app := goClient(t, addr, "")
	auth, err := approle.NewAppRoleAuth(roleID, &approle.SecretID{FromString: secretID})
	try(t, err)
	login := got(app.Auth().Login(ctx, auth))(t)
	if login.Auth.LeaseDuration != 3600 || !login.Auth.Renewable || login.Auth.EntityID == "" ||
		!slices.Equal(login.Auth.Policies, []string{"app", "default"}) || login.Auth.Metadata["role_name"] != "app" {
		t.Errorf("login: %+v", login.Auth)
	}
	if s := got(app.KVv2("secret").Get(ctx, "app/db"))(t); s.Data["password"] != "hunter2" {
		t.Errorf("read: %v", s.Data)
	}
	_, err = app.KVv2("secret").Get(ctx, "other/db")
	wantStatus(t, err, 403, "permission denied")

	renewed := got(app.Auth().Token().RenewSelf(600))(t)
	if renewed.Auth.ClientToken != login.Auth.ClientToken || renewed.Auth.LeaseDuration != 600 {
		t.Errorf("renewal: %+v", renewed.Auth)
	}
	try(t, app.Auth().Token().RevokeSelf(""))
	_, err = app.KVv2("secret").Get(ctx, "app/db")
	wantStatus(t, err, 403, "permission denied")
}

func TestGoClientWrappedSecretID(t *testing.T) {
	addr := startDev(t)
	root := goClient(t, addr, rootToken)
	roleID, _ := appRole(t, root, nil)
	root.SetWrappingLookupFunc(func(op, path string) string {
		if strings.HasSuffix(path, "/secret-id") {
			return "2m"
		}
		return ""
	})
	wrapped := got(root.Logical().Write("auth/approle/role/app/secret-id", nil))(t)
	if wrapped.WrapInfo == nil || wrapped.WrapInfo.TTL != 120 || wrapped.Data != nil {
		t.Fatalf("wrapped: %+v", wrapped)
	}
	app := goClient(t, addr, "")
	auth, err := approle.NewAppRoleAuth(roleID, &approle.SecretID{FromString: wrapped.WrapInfo.Token}, approle.WithWrappingToken())
	try(t, err)
	if login := got(app.Auth().Login(t.Context(), auth))(t); login.Auth.ClientToken == "" {
		t.Error("no token")
	}
	_, err = root.Logical().Unwrap(wrapped.WrapInfo.Token)
	wantStatus(t, err, 400, "wrapping token is not valid or does not exist")
}

func TestGoClientWrapping(t *testing.T) {
	c := goClient(t, startDev(t), rootToken)
	c.SetWrappingLookupFunc(func(op, path string) string {
		if path == "sys/wrapping/wrap" {
			return "5m"
		}
		return ""
	})
	s := got(c.Logical().Write("sys/wrapping/wrap", map[string]any{"a": "b"}))(t)
	if s.WrapInfo.CreationPath != "sys/wrapping/wrap" || s.WrapInfo.CreationTime.IsZero() {
		t.Errorf("wrap info: %+v", s.WrapInfo)
	}
	c2 := got(c.CloneWithHeaders())(t)
	c2.SetToken("")
	look := got(c2.Logical().Write("sys/wrapping/lookup", map[string]any{"token": s.WrapInfo.Token}))(t)
	if look.Data["creation_ttl"] != json.Number("300") {
		t.Errorf("lookup: %v", look.Data)
	}
	again := got(c.Logical().Write("sys/wrapping/rewrap", map[string]any{"token": s.WrapInfo.Token}))(t)
	data := got(c.Logical().Unwrap(again.WrapInfo.Token))(t)
	if data.Data["a"] != "b" {
		t.Errorf("unwrapped: %+v", data)
	}
	_, err := c.Logical().Unwrap(again.WrapInfo.Token)
	wantStatus(t, err, 400, "wrapping token is not valid or does not exist")
}

func TestGoClientTokens(t *testing.T) {
	c := goClient(t, startDev(t), rootToken)
	try(t, c.Sys().PutPolicy("p", `path "secret/data/*" { capabilities = ["read"] }`))
	parent := got(c.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"p"}, TTL: "1h", Metadata: map[string]string{"m": "1"}, DisplayName: "me"}))(t)
	if parent.Auth.LeaseDuration != 3600 || parent.Auth.Metadata["m"] != "1" {
		t.Errorf("created: %+v", parent.Auth)
	}
	look := got(c.Auth().Token().Lookup(parent.Auth.ClientToken))(t)
	if look.Data["display_name"] != "token-me" || look.Data["orphan"] != false || look.Data["path"] != "auth/token/create" {
		t.Errorf("lookup: %v", look.Data)
	}
	byAccessor := got(c.Auth().Token().LookupAccessor(parent.Auth.Accessor))(t)
	if byAccessor.Data["id"] != "" {
		t.Errorf("the accessor gives the token away: %v", byAccessor.Data["id"])
	}

	// A child goes when its parent goes; an orphan stays.
	try(t, c.Sys().PutPolicy("maker", `
		path "auth/token/create" { capabilities = ["update", "sudo"] }
		path "secret/data/*" { capabilities = ["read"] }`))
	maker := got(c.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"maker", "p"}}))(t)
	as := goClient(t, c.Address(), maker.Auth.ClientToken)
	child := got(as.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"p"}}))(t)
	orphan := got(as.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"p"}, NoParent: true}))(t)
	try(t, c.Auth().Token().RevokeTree(maker.Auth.ClientToken))
	_, err := c.Auth().Token().Lookup(child.Auth.ClientToken)
	wantStatus(t, err, 403, "bad token")
	got(c.Auth().Token().Lookup(orphan.Auth.ClientToken))(t)

	// Uses run out.
	few := got(c.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"p"}, NumUses: 2}))(t)
	user := goClient(t, c.Address(), few.Auth.ClientToken)
	if self := got(user.Auth().Token().LookupSelf())(t); self.Data["num_uses"] != json.Number("1") {
		t.Errorf("num_uses after one use: %v", self.Data["num_uses"])
	}
	got(user.Auth().Token().LookupSelf())(t)
	_, err = user.Auth().Token().LookupSelf()
	wantStatus(t, err, 403, "permission denied")

	batch := got(c.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"p"}, Type: "batch", TTL: "10m"}))(t)
	if batch.Auth.Accessor != "" || batch.Auth.Renewable {
		t.Errorf("batch token: %+v", batch.Auth)
	}
	holder := goClient(t, c.Address(), batch.Auth.ClientToken)
	if self := got(holder.Auth().Token().LookupSelf())(t); self.Data["type"] != "batch" {
		t.Errorf("batch lookup: %v", self.Data)
	}
	_, err = holder.Logical().Write("cubbyhole/x", map[string]any{"a": 1})
	if err == nil {
		t.Error("a batch token has a cubbyhole")
	}
}

func TestGoClientLifetimeWatcher(t *testing.T) {
	addr := startDev(t)
	root := goClient(t, addr, rootToken)
	roleID, secretID := appRole(t, root, map[string]any{"token_ttl": "3s", "token_max_ttl": "60s"})
	app := goClient(t, addr, "")
	auth, err := approle.NewAppRoleAuth(roleID, &approle.SecretID{FromString: secretID})
	try(t, err)
	login := got(app.Auth().Login(t.Context(), auth))(t)
	w, err := app.NewLifetimeWatcher(&vault.LifetimeWatcherInput{Secret: login})
	try(t, err)
	go w.Start()
	defer w.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for renewals := 0; renewals < 2; {
		select {
		case r := <-w.RenewCh():
			renewals++
			if r.Secret.Auth.ClientToken != login.Auth.ClientToken {
				t.Errorf("renewed: %+v", r.Secret.Auth)
			}
		case err := <-w.DoneCh():
			t.Fatalf("the watcher ended: %v", err)
		case <-ctx.Done():
			t.Fatal("no renewal")
		}
	}
}

func TestGoClientSystem(t *testing.T) {
	c := goClient(t, startDev(t), rootToken)
	sys := c.Sys()

	mounts := got(sys.ListMounts())(t)
	if m := mounts["secret/"]; m == nil || m.Type != "kv" || m.Options["version"] != "2" || m.Accessor == "" || m.UUID == "" {
		t.Errorf("secret/: %+v", m)
	}
	err := sys.Mount("secret", &vault.MountInput{Type: "kv"})
	wantStatus(t, err, 400, "path is already in use at secret/")
	try(t, sys.Mount("team/kv", &vault.MountInput{Type: "kv", Description: "d", Options: map[string]string{"version": "2"}}))
	try(t, sys.TuneMount("team/kv", vault.MountConfigInput{DefaultLeaseTTL: "30m", MaxLeaseTTL: "2h", ListingVisibility: "unauth"}))
	tuned := got(sys.MountConfig("team/kv"))(t)
	if tuned.DefaultLeaseTTL != 1800 || tuned.MaxLeaseTTL != 7200 || tuned.ListingVisibility != "unauth" {
		t.Errorf("tuned: %+v", tuned)
	}
	got(c.KVv2("team/kv").Put(t.Context(), "x", map[string]any{"a": "1"}))(t)
	try(t, sys.Remount("team/kv", "team/moved"))
	if s := got(c.KVv2("team/moved").Get(t.Context(), "x"))(t); s.Data["a"] != "1" {
		t.Errorf("after the move: %v", s.Data)
	}
	try(t, sys.Unmount("team/moved"))
	_, err = c.Logical().ReadRaw("team/moved/data/x") // Read hides what a 404 says
	wantStatus(t, err, 404, "no handler for route")

	try(t, sys.PutPolicy("Mixed", `path "secret/*" { capabilities = ["read"] }`))
	if text := got(sys.GetPolicy("mixed"))(t); !strings.Contains(text, "secret/*") {
		t.Errorf("policy: %q", text)
	}
	if names := got(sys.ListPolicies())(t); !slices.Contains(names, "mixed") || !slices.Contains(names, "default") || !slices.Contains(names, "root") {
		t.Errorf("policies: %v", names)
	}
	try(t, sys.DeletePolicy("mixed"))
	if text := got(sys.GetPolicy("mixed"))(t); text != "" {
		t.Errorf("deleted policy: %q", text)
	}
	wantStatus(t, sys.PutPolicy("bad", `path "x" { capabilities = ["fly"] }`), 400, "")

	if caps := got(sys.CapabilitiesSelf("secret/data/x"))(t); !slices.Equal(caps, []string{"root"}) {
		t.Errorf("capabilities: %v", caps)
	}
	health := got(sys.Health())(t)
	if !health.Initialized || health.Sealed || !strings.HasPrefix(health.Version, "1.") {
		t.Errorf("health: %+v", health)
	}
	status := got(sys.SealStatus())(t)
	if status.Sealed || status.Type != "shamir" || status.StorageType != "inmem" {
		t.Errorf("seal status: %+v", status)
	}
	if leader := got(sys.Leader())(t); leader.HAEnabled {
		t.Errorf("leader: %+v", leader)
	}
}

func TestGoClientAudit(t *testing.T) {
	c := goClient(t, startDev(t), rootToken)
	file := filepath.Join(t.TempDir(), "audit.log")
	try(t, c.Sys().EnableAuditWithOptions("file", &vault.EnableAuditOptions{Type: "file", Options: map[string]string{"file_path": file}}))
	if list := got(c.Sys().ListAudit())(t); list["file/"] == nil || list["file/"].Options["file_path"] != file {
		t.Errorf("audit list: %v", list)
	}
	const secret = "5f3a-the-canary-91bc"
	got(c.KVv2("secret").Put(t.Context(), "x", map[string]any{"password": secret}))(t)
	hash := got(c.Sys().AuditHash("file", secret))(t)
	lines := got(os.ReadFile(file))(t)
	if strings.Contains(string(lines), secret) || strings.Contains(string(lines), rootToken) {
		t.Error("the audit holds a secret")
	}
	if !strings.Contains(string(lines), hash) {
		t.Error("the audit does not hold the hash of the secret")
	}
	for line := range strings.Lines(string(lines)) {
		var entry struct {
			Type    string
			Time    time.Time
			Request struct{ ID, Operation, Path string }
		}
		try(t, json.Unmarshal([]byte(line), &entry))
		if entry.Type != "request" && entry.Type != "response" || entry.Request.ID == "" {
			t.Errorf("entry: %s", line)
		}
	}
	try(t, c.Sys().DisableAudit("file"))
}

func TestGoClientLeases(t *testing.T) {
	addr := startDev(t)
	root := goClient(t, addr, rootToken)
	roleID, secretID := appRole(t, root, nil)
	login := got(root.Logical().Write("auth/approle/login", map[string]any{"role_id": roleID, "secret_id": secretID}))(t)
	list := got(root.Logical().List("sys/leases/lookup/auth/approle/login"))(t)
	keys, _ := list.Data["keys"].([]any)
	if len(keys) != 1 {
		t.Fatalf("leases: %v", list.Data)
	}
	id := "auth/approle/login/" + keys[0].(string)
	look := got(root.Logical().Write("sys/leases/lookup", map[string]any{"lease_id": id}))(t)
	if look.Data["renewable"] != true || look.Data["id"] != id || look.Data["issue_time"] == nil {
		t.Errorf("lookup: %v", look.Data)
	}
	try(t, root.Sys().RevokePrefix("auth/approle"))
	_, err := root.Auth().Token().Lookup(login.Auth.ClientToken)
	wantStatus(t, err, 403, "bad token")
	_, err = root.Logical().Write("sys/leases/lookup", map[string]any{"lease_id": id})
	wantStatus(t, err, 400, "invalid lease")
}

func TestGoClientInitAndUnseal(t *testing.T) {
	listen := freeAddress(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "coffer.hcl")
	try(t, os.WriteFile(config, []byte(`
		storage "pebble" { path = "`+filepath.Join(dir, "data")+`" }
		listener "tcp" {
			address     = "`+listen+`"
			tls_disable = true
		}
	`), 0o600))
	start(t, "server", "-config="+config)
	awaitStatus(t, "http://"+listen+"/v1/sys/health", http.StatusNotImplemented)
	c := goClient(t, "http://"+listen, "")
	init := got(c.Sys().Init(&vault.InitRequest{SecretShares: 5, SecretThreshold: 3}))(t)
	if len(init.Keys) != 5 || len(init.KeysB64) != 5 || init.RootToken == "" {
		t.Fatalf("init gave %d keys", len(init.Keys))
	}
	_, err := c.Sys().Init(&vault.InitRequest{SecretShares: 1, SecretThreshold: 1})
	wantStatus(t, err, 400, "already initialized")
	_, err = c.Logical().Read("secret/x")
	wantStatus(t, err, 503, "sealed")

	half := got(c.Sys().Unseal(init.Keys[4]))(t)
	if !half.Sealed || half.Progress != 1 || half.Nonce == "" || half.T != 3 || half.N != 5 {
		t.Errorf("after one share: %+v", half)
	}
	if reset := got(c.Sys().ResetUnsealProcess())(t); reset.Progress != 0 || reset.Nonce != "" {
		t.Errorf("after the reset: %+v", reset)
	}
	for i, key := range []string{init.Keys[0], init.KeysB64[2], init.Keys[4]} {
		if s := got(c.Sys().Unseal(key))(t); s.Sealed != (i < 2) {
			t.Errorf("after share %d: %+v", i+1, s)
		}
	}
	c.SetToken(init.RootToken)
	try(t, c.Sys().Mount("secret", &vault.MountInput{Type: "kv-v2"}))
	got(c.KVv2("secret").Put(t.Context(), "x", map[string]any{"a": "b"}))(t)
	try(t, c.Sys().Seal())
	awaitStatus(t, "http://"+listen+"/v1/sys/health", http.StatusServiceUnavailable)
	for _, key := range init.Keys[1:4] {
		got(c.Sys().Unseal(key))(t)
	}
	if s := got(c.KVv2("secret").Get(t.Context(), "x"))(t); s.Data["a"] != "b" {
		t.Errorf("after sealing and unsealing: %v", s.Data)
	}
}
