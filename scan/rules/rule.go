// Package rules holds what the scanner knows of secrets, as data: which words
// announce a kind of credential, what it looks like, and how sure that makes us.
// It does not search; package scan does.
//
// A file holds the rules of one field (cloud.go, code.go, …) in one list, and All
// names the lists. A new rule is one more literal: it needs an ID of its own, an
// example that it finds and one that it leaves alone, all of which are tested.
// Lists are literals only, so that they cost nothing when the program starts.
//
// Start reading at [Rule].
package rules

// Rule is one kind of credential. It is found by a keyword first; then by exactly
// one of Token, Value, Pattern and Parser. Nothing of it is compiled before one of
// its keywords has been seen. Rules are not changed after they were given to a
// scanner.
type Rule struct {
	ID          string // lower case with dashes, never changed: baselines name it
	Description string // what was found, as a noun: "GitHub personal access token"
	Severity    Severity
	Doc         string // the issuer's page that says what the credential is

	// Keywords announce the credential, case aside; one is enough. Each has at
	// least three bytes, better five or more, and rare ones: a keyword that stands in
	// every file costs time in every file. A rule without keywords is tried on the
	// whole of each file that Files or Path select.
	Keywords []string

	// Token is the shape of the credential itself, a regular expression (RE2). It
	// matches with a keyword inside, and where no letter, digit or underscore adjoins. A
	// group, if there is one, is the secret. What has no choice but classes, counts
	// and short alternatives is matched without package regexp.
	Token string

	// Value is the shape of what is assigned to a name that holds a keyword, as in
	// DATADOG_API_KEY="…", in any of the forms of assignment that the scanner reads.
	// It is matched against the whole value. With, if not empty, are words of which
	// the name, or what stands shortly before it, must have one, too.
	Value string
	With  []string

	// Pattern is a regular expression that is tried on the text around a keyword,
	// Before and After bytes of it (zero: 256 each). It is slow, and for what the
	// others can't say. Group is the group with the secret; zero: the first that
	// took part, or all.
	Pattern       string
	Group         int
	Before, After int

	// Parser names a reader of the scanner's, for what no expression describes.
	Parser Parser

	// Checksum is how the last characters of a Token prove the others. A token whose
	// checksum is wrong is made up, or mistyped.
	Checksum Checksum

	// MinEntropy is the least that the secret has, in bits a byte (Shannon, counted
	// over the secret's own bytes). Zero: no matter.
	MinEntropy float64

	// Base is how sure the shape alone makes us, 0 to 1. Zero: 0.9 for a Token, 0.8
	// for a Value or a Pattern. Placeholders, entropy and the file change it.
	Base float64

	// Files are patterns (path.Match, case aside) of base names in which alone the rule
	// looks. Path is a regular expression for the whole path. Empty: everywhere.
	Files []string
	Path  string

	// Allow describes findings that are none.
	Allow []Allow

	// Near are rules one of whose findings must stand close by for one of this to count.
	Near []Near

	// Texts in which {b62:30} and the like stand for so many characters at random,
	// so that no credential is spelled out in a source file.
	Examples []string // each is found
	Not      []string // none of these is

	Verify string // name of the check that asks the issuer whether it is live; may be empty
}

// Severity is what somebody who has the secret can do with it.
type Severity uint8

// The severities. The zero value is Medium in effect, so that a rule without one
// is neither hidden nor urgent.
const (
	Unset    Severity = iota
	Low               // test modes, publishable keys, local things
	Medium            // one account's or one service's data
	High              // a service, with rights to change it
	Critical          // an organisation, or what signs and pays
)

// String returns the name in lower case.
func (s Severity) String() string {
	switch s {
	case Low:
		return "low"
	case High:
		return "high"
	case Critical:
		return "critical"
	}
	return "medium"
}

// Parser names one of the scanner's readers.
type Parser string

// The readers.
const (
	NamedPassword Parser = "named-password" // name = value, in some twenty languages, of what people choose
	NamedSecret   Parser = "named-secret"   // and of what machines do
	URL           Parser = "url"            // scheme://user:password@host
	Bearer        Parser = "bearer"         // Authorization: Bearer …
	Basic         Parser = "basic"          // Authorization: Basic …
	PEM           Parser = "pem"            // -----BEGIN … PRIVATE KEY-----
	JWT           Parser = "jwt"            // header.payload.signature
	JWK           Parser = "jwk"            // {"kty": …, "d": …}
	SQL           Parser = "sql"            // IDENTIFIED BY '…', PASSWORD '…'
	Netrc         Parser = "netrc"          // machine … login … password …
	Pgpass        Parser = "pgpass"         // host:port:database:user:password
	DockerAuth    Parser = "docker-auth"    // "auth": "base64(user:password)"
	CommandLine   Parser = "command-line"   // curl -u user:password, mysql -ppassword, sshpass -p …
)

// Checksum names a way in which tokens carry a checksum.
type Checksum string

// The checksums.
const (
	// CRC32Body: the last six characters are the CRC-32 of the thirty (or however
	// many) between the prefix, which ends in an underscore, and them; base 62 with
	// digits first, then capitals. GitHub, npm.
	CRC32Body Checksum = "crc32-body"
	// CRC32All is CRC32Body over the prefix, too. coffer.
	CRC32All Checksum = "crc32-all"
	// CRC16: the last two of the bytes that the base 32 text stands for are the
	// CRC-16 (XMODEM) of the others, little end first. NKEY.
	CRC16 Checksum = "crc16"
)

// Allow describes findings that are none. Its fields are alternatives, unless All
// is set: then every one that is not empty must apply.
type Allow struct {
	Description string
	Paths       []string // regular expressions for the path
	Patterns    []string // regular expressions for Target
	StopWords   []string // parts of the secret, case aside
	Commits     []string
	Target      Target
	All         bool
}

// Target is what the patterns of an Allow look at.
type Target string

// The targets.
const (
	TargetSecret Target = ""
	TargetMatch  Target = "match"
	TargetLine   Target = "line"
)

// Near asks for a finding of another rule in the neighbourhood. A zero distance is
// any in the same file.
type Near struct {
	ID             string
	Lines, Columns int
}
