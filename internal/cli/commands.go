package cli

// Commands returns every command, in the order of the help. A new one is a file
// with a constructor and a row here.
func Commands() []Command {
	return []Command{
		readCommand(),
		writeCommand(),
		patchCommand(),
		deleteCommand(),
		listCommand(),
		unwrapCommand(),
		loginCommand(),
		statusCommand(),

		kvGetCommand(),
		kvPutCommand(),
		kvPatchCommand(),
		kvListCommand(),
		kvDeleteCommand(),
		kvUndeleteCommand(),
		kvDestroyCommand(),
		kvRollbackCommand(),
		kvEnableVersioningCommand(),
		kvMetadataGetCommand(),
		kvMetadataPutCommand(),
		kvMetadataPatchCommand(),
		kvMetadataDeleteCommand(),

		secretsListCommand(),
		secretsEnableCommand(),
		secretsDisableCommand(),
		secretsMoveCommand(),
		secretsTuneCommand(),

		authListCommand(),
		authEnableCommand(),
		authDisableCommand(),
		authMoveCommand(),
		authTuneCommand(),
		authHelpCommand(),

		policyListCommand(),
		policyReadCommand(),
		policyWriteCommand(),
		policyDeleteCommand(),
		policyFmtCommand(),

		tokenCreateCommand(),
		tokenLookupCommand(),
		tokenRenewCommand(),
		tokenRevokeCommand(),
		tokenCapabilitiesCommand(),

		leaseLookupCommand(),
		leaseRenewCommand(),
		leaseRevokeCommand(),

		auditListCommand(),
		auditEnableCommand(),
		auditDisableCommand(),

		operatorInitCommand(),
		operatorUnsealCommand(),
		operatorSealCommand(),
		operatorGenerateRootCommand(),
		operatorRekeyCommand(),
		operatorKeyStatusCommand(),
		operatorRotateCommand(),
		operatorStepDownCommand(),

		pathHelpCommand(),
		printTokenCommand(),
		serverCommand(),
		demoCommand(),
		demoApplicationCommand(),
		runCommand(),
		completionCommand("bash"),
		completionCommand("fish"),
		completionCommand("zsh"),
		completionInstallCommand(),
		completionUninstallCommand(),
		completeCommand(),
		versionCommand(),
	}
}
