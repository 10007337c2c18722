package barrier

// Purpose separates keys: what one purpose has sealed or authenticated, no other
// accepts. The keys of all purposes are derived from one that never changes, so
// that rotation of the data key does not void them.
type Purpose uint8

// The purposes. Their numbers may change; their names below may not.
const (
	PurposeToken Purpose = iota // MACs under which tokens are looked up
	PurposeBatch                // what batch tokens carry
	numPurposes
)

// names go into the derivation of keys.
var purposeNames = [numPurposes]string{
	PurposeToken: "token",
	PurposeBatch: "batch",
}
