package core

// ExpireLease is what the due queue does with the item of a lease.
var ExpireLease = (*Core).expireLease
