package scan

import "testing"

// writtenLine is a line of a file, with the secret in it if there is one.
type writtenLine struct{ path, text, secret string }

// withSecrets are lines as people write them.
var withSecrets = []writtenLine{
	{"a.py", `PASSWORD = 'Winter2024!'`, "Winter2024!"},
	{"a.py", `db = connect(host="db", user="app", password="k3Vq8sLm2x")`, "k3Vq8sLm2x"},
	{"a.py", `API_TOKEN = os.environ.get("API_TOKEN", "q8Zk3vQx8LmT9rWbP2sYcHd5")`, "q8Zk3vQx8LmT9rWbP2sYcHd5"},
	{"a.py", `config["db_password"] = "k3Vq8sLm2x"`, "k3Vq8sLm2x"},
	{"a.py", `def login(user, password="k3Vq8sLm2x"):`, "k3Vq8sLm2x"},
	{"a.py", `password: str = "k3Vq8sLm2x"`, "k3Vq8sLm2x"},
	{"a.go", `const apiKey = "q8Zk3vQx8LmT9rWbP2sYcHd5"`, "q8Zk3vQx8LmT9rWbP2sYcHd5"},
	{"a.go", `var dbPassword string = "k3Vq8sLm2x"`, "k3Vq8sLm2x"},
	{"a.go", "cfg := Config{Password: \"k3Vq8sLm2x\"}", "k3Vq8sLm2x"},
	{"a.java", `private static final String SECRET_KEY = "q8Zk3vQx8LmT9rWbP2sYcHd5";`, "q8Zk3vQx8LmT9rWbP2sYcHd5"},
	{"a.java", `ds.setPassword("k3Vq8sLm2x");`, "k3Vq8sLm2x"},
	{"a.java", `props.put("password", "k3Vq8sLm2x");`, "k3Vq8sLm2x"},
	{"a.ts", `const token: string = "q8Zk3vQx8LmT9rWbP2sYcHd5nJfo";`, "q8Zk3vQx8LmT9rWbP2sYcHd5nJfo"},
	{"a.js", `if (password === "k3Vq8sLm2x") {`, "k3Vq8sLm2x"},
	{"a.js", "const secret = `q8Zk3vQx8LmT9rWbP2sYcHd5`;", "q8Zk3vQx8LmT9rWbP2sYcHd5"},
	{"a.rb", `password: 'k3Vq8sLm2x'`, "k3Vq8sLm2x"},
	{"a.rb", `:password => "k3Vq8sLm2x",`, "k3Vq8sLm2x"},
	{"a.php", `define('DB_PASSWORD', 'k3Vq8sLm2x');`, "k3Vq8sLm2x"},
	{"a.php", `$db_password = 'k3Vq8sLm2x';`, "k3Vq8sLm2x"},
	{"a.php", `$config['db']['password'] = 'k3Vq8sLm2x';`, "k3Vq8sLm2x"},
	{"a.cs", `"Server=db;Database=app;User Id=sa;Password=k3Vq8sLm2x;Encrypt=true"`, "k3Vq8sLm2x"},
	{"a.cs", `string pwd = @"k3Vq8sLm2x";`, "k3Vq8sLm2x"},
	{"web.config", `<add key="ApiSecret" value="q8Zk3vQx8LmT9rWbP2sYcHd5" />`, "q8Zk3vQx8LmT9rWbP2sYcHd5"},
	{"a.xml", `<password>k3Vq8sLm2x</password>`, "k3Vq8sLm2x"},
	{"a.xml", `<property name="password" value="k3Vq8sLm2x"/>`, "k3Vq8sLm2x"},
	{"a.xml", `<Pass encoding="base64">azNWcThzTG0yeA==</Pass>`, "k3Vq8sLm2x"},
	{"a.tf", "variable \"db_password\" {\n  default = \"k3Vq8sLm2x\"\n}", "k3Vq8sLm2x"},
	{"a.properties", `spring.datasource.password=k3Vq8sLm2x`, "k3Vq8sLm2x"},
	{"a.ini", `password = correct$horse(9)`, "correct$horse(9)"},
	{".env", `SECRET_KEY_BASE=3f8a1c9be25d48608c4fe1d7b2a0936e5c11`, "3f8a1c9be25d48608c4fe1d7b2a0936e5c11"},
	{".env", `DB_PASS="k3Vq8sLm2x" # the database's`, "k3Vq8sLm2x"},
	{"Dockerfile", `ENV DB_PASSWORD k3Vq8sLm2x`, "k3Vq8sLm2x"},
	{"Dockerfile", `ARG NPM_TOKEN=q8Zk3vQx8LmT9rWbP2sYcHd5`, "q8Zk3vQx8LmT9rWbP2sYcHd5"},
	{"redis.conf", `requirepass k3Vq8sLm2x`, "k3Vq8sLm2x"},
	{"a.yaml", "env:\n  - name: DB_PASSWORD\n    value: \"k3Vq8sLm2x\"", "k3Vq8sLm2x"},
	{"task.json", `{"name": "DB_PASSWORD", "value": "k3Vq8sLm2x"}`, "k3Vq8sLm2x"},
	{"a.sh", `mysqldump -u root -p'k3Vq8sLm2x' app > dump.sql`, "k3Vq8sLm2x"},
	{"a.sh", `curl --user "admin:k3Vq8sLm2x" https://corp.net`, "k3Vq8sLm2x"},
	{"a.sh", `curl -H "X-Api-Key: q8Zk3vQx8LmT9rWbP2sYcHd5" https://corp.net`, "q8Zk3vQx8LmT9rWbP2sYcHd5"},
	{"a.sh", `curl -H 'Authorization: Bearer q8Zk3vQx8LmT9rWbP2sYcHd5' https://corp.net`, "q8Zk3vQx8LmT9rWbP2sYcHd5"},
	{"a.sh", `./deploy --password=k3Vq8sLm2x --force`, "k3Vq8sLm2x"},
	{"a.sql", `ALTER USER app IDENTIFIED BY "k3Vq8sLm2x";`, "k3Vq8sLm2x"},
	{"a.sql", `CREATE USER app WITH ENCRYPTED PASSWORD 'k3Vq8sLm2x';`, "k3Vq8sLm2x"},
	{"a.sql", `CREATE LOGIN app WITH PASSWORD = 'k3Vq8sLm2x'`, "k3Vq8sLm2x"},
	{"a.md", "amqp://app:k3Vq8sLm2x@mq.corp.net:5672/", "k3Vq8sLm2x"},
	{".git-credentials", "https://ann:k3Vq8sLm2x@git.corp.net", "k3Vq8sLm2x"},
	{".netrc", "machine git.corp.net\n  login ann\n  password k3Vq8sLm2x\n", "k3Vq8sLm2x"},
	{".npmrc", "//npm.corp.net/:_authToken=3f8a1c9b-e25d-4860-8c4f-e1d7b2a0936e", "3f8a1c9b-e25d-4860-8c4f-e1d7b2a0936e"},
	{"a.json", `{"client_secret":"3f8a1c9b-e25d-4860-8c4f-e1d7b2a0936e"}`, "3f8a1c9b-e25d-4860-8c4f-e1d7b2a0936e"},
	{"app.log", `login url=https://corp.net/x?access_token=q8Zk3vQx8LmT9rWbP2sYcHd5&y=1`, "q8Zk3vQx8LmT9rWbP2sYcHd5"},
	{"a.yaml", "  password: letmein", "letmein"},
	{"a.py", `password = "BlueSky42"`, "BlueSky42"},
	{".env", `MAIL_PASSWORD=BlueSky42`, "BlueSky42"},
	{".env", `GITHUB_TOKEN=` + "ghp_" + "aBcD1234efGH5678ijKL9012mnOP340m9dbY", "ghp_" + "aBcD1234efGH5678ijKL9012mnOP340m9dbY"},
	{"a.json", `{"github_token": "` + "ghp_" + `aBcD1234efGH5678ijKL9012mnOP340m9dbY"}`, "ghp_" + "aBcD1234efGH5678ijKL9012mnOP340m9dbY"},
	{"a.sh", `curl -H "Authorization: token ` + "ghp_" + `aBcD1234efGH5678ijKL9012mnOP340m9dbY" https://corp.net`, "ghp_" + "aBcD1234efGH5678ijKL9012mnOP340m9dbY"},
	{"a.properties", `segment.write.key=xrBpk7J1QZZqjNPFhrC4231TEIClegjO`, "xrBpk7J1QZZqjNPFhrC4231TEIClegjO"},
	{"a.properties", `dd-app-key=efa0c2e1fc7671eb66c0f2091fb1e86851e93243`, "efa0c2e1fc7671eb66c0f2091fb1e86851e93243"},
	{"a.diff", "+GMAIL_PASSWORD=ywev tdia lopv sjkg # mail", "ywev tdia lopv sjkg"},
	{"a.txt", "MNEMONIC=ripple cradle velvet mammal quantum oyster glide hunt basket nephew solid orbit", "ripple cradle velvet mammal quantum oyster glide hunt basket nephew solid orbit"},
	{".env", `SECRET_KEY==*j^@gqbv22&!sum8*kdccaxmpj@78!u6)me%52sa*v9&c06%d`, "=*j^@gqbv22&!sum8*kdccaxmpj@78!u6)me%52sa*v9&c06%d"},
}

// lookAlikes are lines that have what secrets have, and none.
var lookAlikes = []writtenLine{
	{path: "a.py", text: `password = input("Password: ")`},
	{path: "a.py", text: `password = getpass.getpass()`},
	{path: "a.py", text: `token = request.headers["X-Token"]`},
	{path: "a.py", text: `parser.add_argument("--password", help="the password of the user")`},
	{path: "a.py", text: `SECRET_KEY = os.environ["SECRET_KEY"]`},
	{path: "a.py", text: `password_hash = "5f4dcc3b5aa765d61d8327deb882cf99"`},
	{path: "a.py", text: `raise ValueError("password: must have 8 characters")`},
	{path: "a.py", text: `tokens = tokenizer.encode("some text 12345")`},
	{path: "a.go", text: "body := `{\"password\":\"` + s2 + `\"}`"},
	{path: "a.go", text: `body := "{\"password\": \"" + s2 + "\"}"`},
	{path: "a.go", text: `fields := map[string]string{"password": "old_password", "secret": "RSA_PRIVATE_KEY"}`},
	{path: "a.go", text: `t.Setenv("password", "PGPASSWORD")`},
	{path: "six.py", text: `MovedAttribute("HTTPPasswordMgr", "urllib2", "urllib.request"),`},
	{path: "a.py", text: `password = password.encode("latin1")`},
	{path: "check.txt", text: `10: (pass): 10:`},
	{path: "a.go", text: `token := r.Header.Get("Authorization")`},
	{path: "a.go", text: `secretName := "my-app-tls-2024"`},
	{path: "a.go", text: `Password string ` + "`json:\"password,omitempty\"`"},
	{path: "a.go", text: `const passwordKey = "user.password.v2"`},
	{path: "a.go", text: `errors.New("token: unexpected end of file")`},
	{path: "a.java", text: `String password = env.getProperty("db.password");`},
	{path: "a.java", text: `@Value("${app.secret}") private String secret;`},
	{path: "a.java", text: `public static final String TOKEN_HEADER = "X-Auth-Token-2";`},
	{path: "a.ts", text: `password: FormControl<string>;`},
	{path: "a.ts", text: `const token = await getAccessToken(userId2);`},
	{path: "a.ts", text: `import { secret1 } from "./secrets1";`},
	{path: "a.js", text: `<input type="password" name="password" placeholder="Enter 8 characters">`},
	{path: "a.js", text: `module.exports = { apiKey: process.env.API_KEY };`},
	{path: "a.js", text: `const fields = ["username", "password", "token2"];`},
	{path: "en.json", text: `{"password": "Password", "password_hint": "At least 8 characters", "forgot_password": "Forgot?"}`},
	{path: "de.yaml", text: `password: Passwort`},
	{path: "a.yaml", text: `password: "{{ vault_password }}"`},
	{path: "a.yaml", text: "secretKeyRef:\n  name: app-secret-1\n  key: password"},
	{path: "a.yaml", text: `token: ${{ secrets.GITHUB_TOKEN }}`},
	{path: "a.yaml", text: `password: !vault |`},
	{path: "a.yaml", text: `image: app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08`},
	{path: "a.tf", text: `password = var.db_password`},
	{path: "a.tf", text: `secret_id = aws_secretsmanager_secret.app.id`},
	{path: "package-lock.json", text: `"integrity": "sha512-q8Zk3vQx8LmT9rWbP2sYcHd5nJfoGuE1iRtAyVq8Zk3vQx8LmT9rWbP2sYcHd5nJfoGuE1iRtAyV4aBcDeFg=="`},
	{path: "go.sum", text: "github.com/x/token v1.2.3 h1:q8Zk3vQx8LmT9rWbP2sYcHd5nJfoGuE1iRtAyVq8Zk4="},
	{path: ".env", text: `PASSWORD=`},
	{path: ".env", text: `PASSWORD=changeme`},
	{path: ".env", text: `API_KEY=your_api_key_here`},
	{path: ".env", text: `API_KEY=xxxxxxxxxxxxxxxxxxxx`},
	{path: ".env.example", text: `DB_PASSWORD=<password>`},
	{path: "a.md", text: `Set the password: it must be longer than 12 characters.`},
	{path: "a.md", text: "postgres://user:password@localhost:5432/db"},
	{path: "a.md", text: "`password`, `token2` and `secret_key3` are reserved"},
	{path: "a.sh", text: `curl -u "$USER:$PASSWORD" https://corp.net`},
	{path: "a.sh", text: `PASSWORD=$(pwgen 20 1)`},
	{path: "a.sh", text: `export TOKEN="$(cat /run/secrets/token1)"`},
	{path: "a.sh", text: `curl -H "Authorization: Bearer $TOKEN" https://corp.net`},
	{path: "a.sql", text: `password VARCHAR(255) NOT NULL`},
	{path: "a.sql", text: `SELECT password FROM users WHERE id = 4711`},
	{path: "a.xml", text: `<password>${db.password}</password>`},
	{path: "a.html", text: `<label for="password">Password (8+)</label>`},
	{path: "a.css", text: `.password-field2 { width: 100px; }`},
	{path: "a.svg", text: `<path d="M150 0 L75 200 L225 200 Z" token="t1"/>`},
	{path: "a.log", text: `user 4711 password reset request=8a7b took=12ms`},
	{path: "a.log", text: `trace=4bf92f3577b34da6a3ce929d0e0e4736 token expired at 17:30:11`},
	{path: "a.proto", text: `string password = 2;`},
	{path: "a.c", text: `char password[MAX_LEN2];`},
	{path: "a.c", text: `#define TOKEN_MAX_SIZE1 0x10000`},
	{path: "a.rs", text: `let token = Token::new(kind1, span2);`},
	{path: "a.json", text: `{"commit": "3f8a1c9be25d48608c4fe1d7b2a0936e5c110000", "key": "3f8a1c9b-e25d-4860-8c4f-e1d7b2a0936e"}`},
	{path: "a.py", text: `client = Client("` + "ghp_" + `aBcD1234efGH5678ijKL9012mnOP340m9dbY")`},
	{path: ".env", text: `GITHUB_TOKEN=` + "ghp_" + "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
	{path: "a.properties", text: `password=%ACCOUNT_PASSWORD%`},
	{path: "README.md", text: `The password: Show.`},
	{path: "a.js", text: `vercelToken = "processVercelTokenEnv"`},
	{path: "a.py", text: `password = "MyPassword42"`},
	{path: "id_rsa.pub", text: "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7q8Zk3vQx8LmT9rWbP2sYcHd5nJfo ann@corp"},
}

func TestSecretsAsPeopleWriteThem(t *testing.T) {
	s := newScanner(t, Options{})
	for _, x := range withSecrets {
		t.Run(x.text, func(t *testing.T) {
			if found := s.Bytes(x.path, []byte(x.text+"\n")); len(found) != 1 || found[0].Secret.Reveal() != x.secret {
				t.Error(describe(found))
			}
		})
	}
}

func TestLookAlikesAreNoSecrets(t *testing.T) {
	s := newScanner(t, Options{})
	for _, x := range lookAlikes {
		t.Run(x.text, func(t *testing.T) {
			if found := s.Bytes(x.path, []byte(x.text+"\n")); len(found) > 0 {
				t.Error(describe(found))
			}
		})
	}
}
