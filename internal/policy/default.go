package policy

// DefaultText is the policy "default" of a new server. It is what Vault's
// documentation lists for it, but for paths below identity/, which coffer does
// not serve, and with sys/coffer/acknowledge, which Vault does not have.
const DefaultText = `# What every token may do unless it was created without this policy.

# The token itself.
path "auth/token/lookup-self" {
    capabilities = ["read"]
}
path "auth/token/renew-self" {
    capabilities = ["update"]
}
path "auth/token/revoke-self" {
    capabilities = ["update"]
}

# What the token may do.
path "sys/capabilities-self" {
    capabilities = ["update"]
}
path "sys/internal/ui/resultant-acl" {
    capabilities = ["read"]
}

# Why the token may do something or may not. Of others it tells only what the token
# may read.
path "sys/coffer/policy/explain" {
    capabilities = ["update"]
}

# Which mounts it may see.
path "sys/internal/ui/mounts" {
    capabilities = ["read"]
}
path "sys/internal/ui/mounts/*" {
    capabilities = ["read"]
}

# Leases, for whoever knows their id.
path "sys/renew" {
    capabilities = ["update"]
}
path "sys/leases/renew" {
    capabilities = ["update"]
}
path "sys/leases/lookup" {
    capabilities = ["update"]
}

# The token's own small store.
path "cubbyhole/*" {
    capabilities = ["create", "read", "update", "delete", "list"]
}

# Response wrapping.
path "sys/wrapping/wrap" {
    capabilities = ["update"]
}
path "sys/wrapping/lookup" {
    capabilities = ["update"]
}
path "sys/wrapping/unwrap" {
    capabilities = ["update"]
}

# Which version of a secret the caller uses; it must be allowed to read the secret.
path "sys/coffer/acknowledge" {
    capabilities = ["update"]
}

# Tools.
path "sys/tools/hash" {
    capabilities = ["update"]
}
path "sys/tools/hash/*" {
    capabilities = ["update"]
}

# The state of a control group request, for whoever knows its accessor.
path "sys/control-group/request" {
    capabilities = ["update"]
}
`
