package cli

func secretsListCommand() Command {
	return secretsKind.list(`
  List the secrets engines, and all that is known of them:
      $ coffer secrets list
      $ coffer secrets list -detailed`,
		[]mountColumn{colPath, colType, colAccessor, colDescription},
		[]mountColumn{
			colPath, colPlugin, colAccessor, colDefaultTTL, colMaxTTL, colNoCache, colReplication, colSealWrap,
			colEntropy, colOptions, colDescription, colUUID, colVersion, colRunning, colSHA256, colDeprecation,
		})
}

func secretsEnableCommand() Command {
	return secretsKind.enable(`
  Keep versioned secrets at secret/:
      $ coffer secrets enable -path=secret -version=2 kv
  The same, at kv-v2/:
      $ coffer secrets enable kv-v2`)
}

func secretsDisableCommand() Command {
	return secretsKind.disable(`
All its secrets are gone then, and its leases are revoked.

  Disable the engine at old/:
      $ coffer secrets disable old`)
}

func secretsMoveCommand() Command {
	return secretsKind.move(`
The leases of the engine are revoked; what it stored stays. Policies are not changed.

  Give the engine at kv/ the path archive/:
      $ coffer secrets move kv archive`)
}

func secretsTuneCommand() Command {
	return secretsKind.tune(`
Only what flags name changes.

  Shorten the leases of an engine:
      $ coffer secrets tune -default-lease-ttl=1h -max-lease-ttl=1d database`)
}
