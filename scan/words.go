package scan

import (
	"slices"
	"strings"
	"sync"
)

// fillers are parts of values that stand for a secret and are none. They are
// looked for as words, or in long values anywhere.
var fillers = []string{
	"changeme", "change-me", "change_me", "changeit", "change-it", "change_it", "change this", "changethis", "replaceme", "replace-me", "replace_me", "replace-with", "replace_with", "placeholder",
	"example", "sample", "dummy", "redacted", "masked", "removed", "sanitized", "your-", "your_", "yourtoken", "yourkey", "yourpass", "yoursecret", "yourapi", "insert-", "insert_", "put-your", "put_your", "enter-", "enter_",
	"todo", "fixme", "xxxx", "****", "....", "####", "____", "----", "not-a-real", "not_a_real", "notareal", "not-real", "fake", "foobar", "foo-bar", "foo_bar", "lorem", "my-secret", "my_secret",
	"mysecret", "supersecret", "super-secret", "super_secret", "topsecret", "some-secret", "some_secret", "somesecret", "secret-key", "secret_key", "secretkey", "my-token", "my_token", "mytoken", "some-token", "some_token",
	"my-api-key", "my_api_key", "api-key-here", "token-here", "key-here", "_here", "-here", "test-token", "test_token", "testtoken", "test-secret", "test_secret", "test-key", "test_key", "testkey", "default", "undefined",
	"thisisa", "this-is-a", "this_is_a", "abcdefgh", "deadbeef", "cafebabe", "0123456789abcdef", "1234567890", "00000000", "ffffffffffff",
}

// empties are whole values that say that there is none.
var empties = words(`none null nil undefined true false yes no on off empty blank unset unknown optional required default
	string str text bytes byte int integer number bool boolean object any void char varchar secretstr
	password passwd pwd pass passphrase secret token apikey api_key api-key key keys value values val credential credentials creds
	username user name email login auth type hidden input field label placeholder
	todo tbd n/a na xxx yyy zzz foo bar baz qux foobar foobaz example sample dummy fake mock test testing tests tester
	changeme change_me change-me changeit replaceme redacted masked removed secretsecret
	your_password your-password yourpassword my_password my-password mypassword the_password db_password
	invalid incorrect wrong mismatch missing failed expired forgotten forgot reset change changed update updated confirm new old current
	show hide visible enabled disabled success error errors warning info debug warn
	basic bearer digest negotiate oauth oauth2 jwt saml ldap kerberos plain ssl tls none-required md5 sha1 sha256 scram-sha-256 trust peer ident
	prompt ask stdin env file vault cookie session header query body form json xml yaml html base64 hex utf8 utf-8 ascii self this super
	access refresh id_token access_token refresh_token csrf csrftoken xsrf authorization
	let const var func function return new delete async await import export class public private static final
	deprecated description readonly writeonly sensitive computed`)

// commonPasswords are whole values that people do use, although they are words.
var commonPasswords = words(`letmein qwerty qwertyuiop welcome monkey dragon sunshine princess football baseball superman batman trustno1 iloveyou
	master shadow hunter hunter2 abc123 admin123 root123 passw0rd p@ssw0rd p@ssword pa$$word pa$$w0rd password1 password12 password123 passw0rd1 pass1234 pass123
	123456 1234567 12345678 123456789 1234567890 12345 1234 111111 000000 654321 1q2w3e4r 1qaz2wsx zaq12wsx qazwsx asdfgh asdfghjkl zxcvbn zxcvbnm
	toor alpine raspberry vagrant ubnt calvin swordfish opensesame correcthorsebatterystaple starwars whatever freedom cheese summer winter spring autumn
	liverpool arsenal chelsea michael jordan jessica ashley charlie thomas robert daniel andrew joshua matthew george harley ranger buster soccer hockey killer pepper
	ginger secret123 admin@123 root@123 test1234 test123 qwe123 asd123 qwer1234 changeme123 welcome1 welcome123 guest guest123 postgres mysql oracle tiger scott sa123`)

// lexicon is a set of words that is made when it is first looked at.
type lexicon func() map[string]bool

func (l lexicon) has(w string) bool { return l()[w] }

func words(list string) lexicon {
	return sync.OnceValue(func() map[string]bool {
		set := map[string]bool{}
		for w := range strings.FieldsSeq(list) {
			set[w] = true
		}
		return set
	})
}

// notSecret are last words of names that say something about a secret, and are
// not it.
var notSecret = words(`name names type types kind url urls uri uris endpoint host id ids identifier length len size count num field fields label labels hint policy policies prefix suffix
	path paths file files filename dir directory folder ttl expiry expires expire expiration expired exp lifetime timeout duration age header headers format regex regexp pattern
	validator validation validate valid reset error errors err msg message messages placeholder param params parameter arg version provider class column index position
	enabled disabled required optional ref refs reference arn status state text title description desc help info input button form page link route handler manager
	service store storage cache factory builder parser encoder decoder hasher generator helper util utils config settings options opts mode method scope scopes
	time date timestamp at count limit max min strength score level hash hashes hashed digest checksum sha sha1 sha256 sha512 md5 fingerprint thumbprint
	algorithm alg algo cipher encoding charset character chars event events listener callback template test tests mock issuer audience
	endpointurl list array map set group groups role roles user users username owner email column table schema attribute attr property key_name rotation
	dialog modal screen view controller model entity dto request response exception interval period days hours minutes seconds
	authority domain env environment var variable vars mapping source sources backend plugin pluginname region namespace location mount volume`)

// publicWords anywhere in a name say that the value may be seen by all.
var publicWords = words(`public pub cert certificate checksum integrity fingerprint digest commit revision etag hash sha sha1 sha256 sha512 md5 csrf xsrf nonce cursor continuation page next previous sync
	exporter expected derived tokenizer tokenize tokens tokenization keyword keywords foreign primary sort partition hot shortcut keyboard placeholder salt`)

// passwordWords are those of names whose values people choose.
var passwordWords = words(`password passwd pwd pass passphrase passcode passwort kennwort contraseña senha pw passwords requirepass masterauth masterpassword userpassword dbpassword dbpass
	rootpassword adminpassword mypassword userpass userpwd dbpwd motdepasse mypass rootpass adminpass sshpass smtppass ftppass`)

// secretWords are those of names whose values machines choose.
var secretWords = words(`secret secrets token apikey apitoken authtoken accesstoken refreshtoken accesskey secretkey privatekey encryptionkey signingkey masterkey appkey authkey credential credentials
	appsecret clientsecret hmackey aeskey jwtkey sharedaccesskey accountkey consumerkey licensekey subscriptionkey consumersecret authorization auth secretaccesskey bearertoken jwtsecret sessionsecret`)

// keyQualifiers make a key a secret: api key, signing key.
var keyQualifiers = words(`api access secret private encryption encrypt signing sign master account app application auth client service license shared storage webhook consumer session aes hmac jwt deploy
	subscription admin integration server publish write ingest cipher crypto fernet django rails`)

// nameKind is what a name says of its value.
type nameKind uint8

const (
	nameOther    nameKind = iota
	namePassword          // chosen by people
	nameSecret            // chosen by machines
	nameAbout             // about a secret, or for all to see
)

// classifyName tells what the name of an assignment says of the value.
func classifyName(name string) nameKind {
	parts := splitWords(name)
	if len(parts) == 0 {
		return nameOther
	}
	last := trimDigits(parts[len(parts)-1])
	if len(parts) > 1 && last == "" { // PASSWORD_1
		last = trimDigits(parts[len(parts)-2])
	}
	if notSecret.has(last) || slices.ContainsFunc(parts, func(w string) bool { return publicWords.has(w) }) {
		return nameAbout
	}
	switch parts[0] {
	case "is", "has", "no", "use", "show", "hide", "enable", "disable", "allow", "require", "need", "needs", "forgot", "forget", "validate", "check", "verify", "min", "max", "num",
		"invalid", "wrong", "bad", "incorrect", "missing", "err", "error", "weak", "short":
		return nameAbout
	}
	kind, at := nameOther, 0
	for i, w := range parts {
		w = trimDigits(w)
		before := kind
		switch {
		case w == "pass" && i < len(parts)-1 && trimDigits(parts[len(parts)-1]) != "": // a pass over something
		case passwordWords.has(w) || strings.HasSuffix(w, "password") || strings.HasSuffix(w, "passwd") || strings.HasSuffix(w, "passphrase"):
			kind = namePassword
		case secretWords.has(w) || strings.HasSuffix(w, "secret") || strings.HasSuffix(w, "token") || strings.HasSuffix(w, "apikey"):
			kind = max(kind, nameSecret)
		case w == "key" && i > 0 && keyQualifiers.has(parts[i-1]):
			kind = nameSecret
		}
		if kind == nameSecret && passwordWords.has(w) {
			kind = namePassword
		}
		if kind != before {
			at = i
		}
	}
	if at < len(parts)-1 && isUpper(name[0]) && !strings.ContainsAny(name, "_-.") && strings.ToUpper(name) != name {
		return nameOther // a class: PasswordManager
	}
	return kind
}

func trimDigits(w string) string { return strings.TrimRight(w, "0123456789") }

// filler returns the part of a value that shows it to be a placeholder, or "".
func filler(value string) string {
	low := strings.ToLower(value)
	if empties.has(low) {
		return low
	}
	for _, f := range fillers {
		if strings.Contains(low, f) {
			return f
		}
	}
	switch {
	case len(value) > 3 && longestRun(value) >= max(4, len(value)/2):
		return "one character, repeated"
	case len(value) >= 16 && longestRun(value) >= 6:
		return "one character, repeated"
	case len(value) >= 12 && longestSequence(low) >= max(8, len(value)/3):
		return "a sequence"
	}
	return ""
}

// referenceMarks are beginnings of values that name a secret instead of being it.
var referenceMarks = []string{
	"${", "$(", "$[", "{{", "<%", "#{", "%{", "@{", "[[", "((", "ref+", "vault:", "coffer://", "op://", "arn:", "enc[", "enc(", "{cipher}", "!vault", "ssm:", "sops:", "secretsmanager:", "keyvault:",
	"os.environ", "os.getenv", "process.env", "import.meta", "system.getenv", "system.getproperty", "getenv(", "env(", "env.", "config.", "config[", "settings.", "secrets.", "var.", "local.", "data.", "module.", "params.", "self.", "this.",
	"$env:", "%env", "@microsoft.keyvault", "file:", "resolve:", "fn::", "!ref", "!sub", "!getatt", "projects/", "lookup(", "function(", "func(", "lambda", "request.", "req.", "props.", "args.", "argv", "flask.", "options.", "opts.", "ctx.", "cfg.", "conf.", "environment.",
}

// isReference says whether value names a secret, a variable or a template instead
// of being one.
func isReference(value string) bool {
	low := strings.ToLower(value)
	for _, m := range referenceMarks {
		if strings.HasPrefix(low, m) {
			return true
		}
	}
	first, last := value[0], value[len(value)-1]
	switch {
	case first == '<' && (last == '>' || strings.Contains(low, "your")):
		return true
	case first == '[' && last == ']', first == '{' && last == '}', first == '%' && last == '%' && len(value) > 2:
		return true
	case first == '$' && len(value) > 1 && all(value[1:], isWordByte) && (isIdentifier(value[1:]) || strings.ToUpper(value) == value):
		return true
	case first == '@' && last == '@' && len(value) > 2, strings.HasPrefix(value, "__") && strings.HasSuffix(value, "__"):
		return true
	case len(value) == 2 && first == '%':
		return true
	}
	return strings.Contains(value, "${") || strings.Contains(value, "{{") || strings.Contains(value, "$(") || strings.Contains(value, "<%") || strings.Contains(value, "%s") || strings.Contains(value, "#{")
}
