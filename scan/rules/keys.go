package rules

// keys are the credentials in files of programs that keep them.
var keys = []Rule{
	{
		ID: "kubeconfig-client-key", Description: "client key of a kubeconfig", Severity: Critical,
		Doc:      "https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/",
		Keywords: []string{"client-key-data"},
		Token:    `client-key-data:\s{1,4}"?(LS0tLS1CRUdJTi[0-9A-Za-z+/]{100,}={0,2})`, Base: 0.97,
		Examples: []string{"client-key-data: LS0tLS1CRUdJTi{b62:200}"},
		Not:      []string{"client-key-data: LS0t"},
	},
	{
		ID: "shadow-hash", Description: "password hash of a shadow or htpasswd file", Severity: Medium,
		Doc:      "https://man7.org/linux/man-pages/man5/shadow.5.html",
		Keywords: []string{":$6$", ":$5$", ":$1$", ":$y$", ":$2y$", ":$2b$", ":$2a$", ":$apr1$", ":{SHA}"},
		Pattern:  `(?m)^[A-Za-z_][A-Za-z0-9._-]{0,40}:(\$(?:6|5|1|y|apr1)\$[^:\s]{20,140}|\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}|\{SHA\}[A-Za-z0-9+/]{27}=)`, Before: 48, After: 200, Base: 0.6,
		Examples: []string{"root:$6${b62:16}${b62:86}:19000:0:99999:7:::", "admin:$apr1${b62:8}${b62:22}"},
		Not:      []string{"root:*:19000:0:99999:7:::"},
	},
	{
		ID: "winscp-password", Description: "password of an FTP client (WinSCP)", Severity: High,
		Doc:      "https://winscp.net/eng/docs/security_credentials",
		Keywords: []string{"Password=A35C", "Password=A3"}, Files: []string{"winscp.ini", "*.ini"},
		Pattern: `(?m)^Password=(A35C[0-9A-F]{30,200})`, Before: 8, After: 220,
		Examples: []string{"[Sessions\\\\x]\nPassword=A35C{HEX:60}"},
		Not:      []string{"Password=A35C"},
	},
	{
		ID: "gpp-password", Description: "password of a Windows group policy (cpassword)", Severity: Critical,
		Doc:      "https://support.microsoft.com/kb/2962486",
		Keywords: []string{"cpassword="},
		Pattern:  `cpassword="([A-Za-z0-9+/]{20,200}={0,2})"`, Before: 8, After: 220,
		Examples: []string{"<Properties cpassword=\"{b64:44}\" userName=\"a\"/>"},
		Not:      []string{"<Properties cpassword=\"\"/>"},
	},
	{
		ID: "cisco-type7-password", Description: "password in a Cisco configuration", Severity: Medium,
		Doc:      "https://www.cisco.com/c/en/us/support/docs/security-vpn/remote-authentication-dial-user-service-radius/107614-64.html",
		Keywords: []string{"password 7 ", "secret 5 ", "key 7 ", "secret 9 ", "secret 8 "},
		Pattern:  `(?:password|key) 7 ([0-1][0-9][0-9A-F]{6,60})\b|secret [589] (\$[0-9]{1,2}\$\S{20,80})`, Before: 8, After: 120,
		Examples: []string{"username admin password 7 08{HEX:14}", "enable secret 5 $1${b62:4}${b62:22}"},
		Not:      []string{"password 7 characters long"},
	},
}
