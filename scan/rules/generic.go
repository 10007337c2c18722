package rules

// generic are the credentials that have no issuer: what is known of them is the
// name or the place.
var generic = []Rule{
	{
		ID: "private-key", Description: "private key", Severity: Critical,
		Keywords: []string{"-----BEGIN ", "PuTTY-User-Key-File"}, Parser: PEM, Base: 0.95,
		Examples: []string{"-----BEGIN EC PRIVATE KEY-----\n" +
			"MHcCAQEEIKq7Zr2dVx9mWcPbT4sYhLgNf8uKeQoRiAjXzB5v1DkJoAoGCCqGSM49\n" +
			"AwEHoUQDQgAE3pL6sT0wYcH2dGmE4nVrUxQaSKq7Zr2dVx9mWcPbT4sYhLgNf8uK\n" +
			"eQoRiAjXzB5v1DkJ3pL6sT0wYcH2dGmE4g==\n-----END EC PRIVATE KEY-----"},
		Not: []string{
			"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE3pL6sT0wYcH2dGmE4nVrUxQaSKq7\n-----END PUBLIC KEY-----",
			"-----BEGIN RSA PRIVATE KEY-----\n...\n-----END RSA PRIVATE KEY-----",
		},
	},
	{
		ID: "jwt", Description: "JSON Web Token", Severity: High,
		Keywords: []string{"eyJ0eX", "eyJhbGci", "eyJraWQi", "eyJlbmMi", "eyJjdHki", "eyJ4NXQ", "eyJqa3U", "eyJ4NWM", "eyJ6aXA", "ewogIC"}, Parser: JWT, Base: 0.85,
		Examples: []string{"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + "eyJzdWIiOiI4NDcxMjAzIiwicm9sZSI6ImFkbWluIiwiaWF0IjoxNzE2MjM5MDIyfQ.Kq7Zr2dVx9mWcPbT4sYhLgNf8uKeQoRiAjXzB5v1DkJ"},
		Not: []string{
			"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
			"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
		},
	},
	{
		ID: "private-jwk", Description: "private JSON Web Key", Severity: High,
		Keywords: []string{`"kty"`, `'kty'`, `\"kty\"`}, Parser: JWK, Base: 0.9,
		Examples: []string{`{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}`},
		Not:      []string{`{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}`},
	},
	{
		ID: "url-password", Description: "password in a URL", Severity: High,
		Keywords: []string{"://"}, Parser: URL, Base: 0.85,
		Examples: []string{"postgres://app:k3Vq8sLm2x@db.internal:5432/app"},
		Not:      []string{"postgres://user:password@localhost/db", "https://example.com/@scope/package:1", "redis://${USER}:${PASS}@host"},
	},
	{
		ID: "authorization-bearer", Description: "bearer token in a header", Severity: High,
		Keywords: []string{"bearer"}, Parser: Bearer, Base: 0.8,
		Examples: []string{`curl -H "Authorization: Bearer q8Zk3vQx8LmT9rWbP2sYcHd5nJfo"`},
		Not:      []string{`Authorization: Bearer <token>`, `"Authorization": "Bearer " + token`, "the bearer understands that"},
	},
	{
		ID: "authorization-basic", Description: "user name and password in a header", Severity: High,
		Keywords: []string{"basic"}, Parser: Basic, Base: 0.9,
		Examples: []string{"Authorization: Basic YWRtaW46azNWcThzTG0yeA=="},
		Not:      []string{"Authorization: Basic dXNlcjpwYXNzd29yZA==", "Authorization: Basic realm", "basic understanding"},
	},
	{
		ID: "docker-auth", Description: "password of a container registry", Severity: High,
		Keywords: []string{`"auth"`, `\"auth\"`}, Parser: DockerAuth, Base: 0.9,
		Examples: []string{`{"auths":{"registry.corp.net":{"auth":"YWRtaW46azNWcThzTG0yeA=="}}}`},
		Not:      []string{`{"auth":"none"}`},
	},
	{
		ID: "sql-password", Description: "password in an SQL statement", Severity: High,
		Keywords: []string{"identified by", "identified with", "with password", "encrypted password", "set password", "login password"}, Parser: SQL, Base: 0.8,
		Examples: []string{"CREATE USER 'app'@'%' IDENTIFIED BY 'k3Vq8sLm2x';", "ALTER ROLE app WITH PASSWORD 'k3Vq8sLm2x'"},
		Not:      []string{"IDENTIFIED BY '{{password}}'", "this is identified by 'name'"},
	},
	{
		ID: "command-line-password", Description: "password on a command line", Severity: High,
		Keywords: []string{"curl ", "wget ", "mysql ", "mysqldump ", "mysqladmin ", "sshpass ", "redis-cli ", "docker login", "smbclient ", "ldapsearch ", "htpasswd ", "mongosh ", "mongo "},
		Parser:   CommandLine, Base: 0.8,
		Examples: []string{"curl -u admin:k3Vq8sLm2x https://api.corp.net/v1", "sshpass -p 'k3Vq8sLm2x' ssh root@10.0.0.5", "mysql -h db -u root -pk3Vq8sLm2x app"},
		Not:      []string{"curl -u $USER:$PASS https://api.corp.net", "mysql -u root -p app"},
	},
	{
		ID: "netrc-password", Description: "password in a netrc file", Severity: High,
		Keywords: []string{"machine ", "machine\t", "machine\n"}, Parser: Netrc, Base: 0.85,
		Examples: []string{"machine api.corp.net login deploy password k3Vq8sLm2x"},
		Not:      []string{"machine learning login is a password matter"},
	},
	{
		ID: "pgpass-password", Description: "password in a pgpass file", Severity: High,
		Files: []string{".pgpass", "pgpass.conf", "pgpass", "*.pgpass"}, Parser: Pgpass, Base: 0.9,
		Examples: []string{"db.corp.net:5432:app:deploy:k3Vq8sLm2x"},
		Not:      []string{"# hostname:port:database:username:password"},
	},
	{
		ID: "password-assignment", Description: "password", Severity: High,
		Keywords: []string{
			"password", "passwd", "passphrase", "passcode", "passwort", "_pass", "-pass", ".pass", "dbpass", "userpass", "mypass", "rootpass", "adminpass",
			"<pass", "pass=", "pass =", "pass:", "pass :", `pass"`, "pass'", "_pwd", "pwd=", "pwd =", "pwd:", `pwd"`, "pwd'", ".pwd", "-pwd", "userpwd", "dbpwd",
			"contraseña", "mot_de_passe", "motdepasse", "senha", "kennwort", "requirepass", "masterauth", "_pw", "pw=", "pw =", "pw:", `pw"`,
		},
		Parser: NamedPassword,
		Examples: []string{
			`password = "k3Vq8sLm2x"`, "DB_PASSWORD=k3Vq8sLm2x", "password: k3Vq8sLm2x", `{"password": "k3Vq8sLm2x"}`, `{\"password\": \"k3Vq8sLm2x\"}`,
			"<password>k3Vq8sLm2x</password>", `<add key="Password" value="k3Vq8sLm2x"/>`, "Server=db;User Id=sa;Password=k3Vq8sLm2x;",
			`set password k3Vq8sLm2x`, `app --password k3Vq8sLm2x`, `define('DB_PASSWORD', 'k3Vq8sLm2x');`, `password => 'k3Vq8sLm2x'`,
			`getenv("DB_PASSWORD", "k3Vq8sLm2x")`, "- name: DB_PASSWORD\n  value: k3Vq8sLm2x",
		},
		Not: []string{
			`password = os.environ["PASSWORD"]`, "PASSWORD=${PASSWORD}", "password: {{ .Values.password }}", `password = "changeme"`, "password = getPassword()",
			`password: "Enter your password"`, `<password>********</password>`, "password: string", `passwordField = "user_password"`, "--password PASSWORD",
		},
	},
	{
		ID: "secret-assignment", Description: "secret, key or token", Severity: High,
		Keywords: []string{
			"secret", "token", "api_key", "apikey", "api-key", "api.key", "access_key", "accesskey", "access-key", "auth_key", "authkey", "auth-key",
			"private_key", "privatekey", "private-key", "encryption_key", "encryptionkey", "encryption-key", "encrypt_key", "signing_key", "signingkey", "signing-key",
			"credential", "master_key", "masterkey", "account_key", "accountkey", "client_key", "app_key", "appkey", "app-key", "_auth", "authorization",
			"service_key", "license_key", "licensekey", "shared_key", "sharedaccess", "storage_key", "webhook_key", "consumer_key", "consumerkey", "session_key",
			"aes_key", "aeskey", "hmac_key", "hmackey", "jwt_key", "jwtkey", "_salt", "deploy_key", "subscription-key", "subscriptionkey", "subscription_key",
		},
		Parser: NamedSecret,
		Examples: []string{
			`api_key = "q8Zk3vQx8LmT9rWbP2sYcHd5"`, "CLIENT_SECRET=q8Zk3vQx8LmT9rWbP2sYcHd5", `{"accessToken":"q8Zk3vQx8LmT9rWbP2sYcHd5nJfo"}`,
			"X-Api-Key: q8Zk3vQx8LmT9rWbP2sYcHd5",
		},
		Not: []string{
			`token = "access_token"`, "secretName: my-app-secret", "token_url = https://auth.corp.net/token", `tokenType = "Bearer"`, `api_key = "YOUR_API_KEY"`,
			"token_sha256 = 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		},
	},
}
