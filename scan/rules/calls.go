package rules

// calls are passwords that stand as arguments where nothing but the function says
// what they are. A first letter that begins a reference or a template is none of
// a password here: there is no name that would make up for the doubt.
var calls = []Rule{
	{
		ID: "powershell-secure-string", Description: "password in a PowerShell script", Severity: High,
		Doc:      "https://learn.microsoft.com/en-us/powershell/module/microsoft.powershell.security/convertto-securestring",
		Keywords: []string{"ConvertTo-SecureString"},
		Pattern:  `(?i)ConvertTo-SecureString\s+(?:-String\s+|-AsPlainText\s+|-Force\s+){0,3}(?:"([^"$<{%\n][^"$\n]{2,127})"|'([^'<{%\n][^'\n]{2,127})')`, Before: 4, After: 200,
		Examples: []string{`$p = ConvertTo-SecureString "k3Vq8sLm2x" -AsPlainText -Force`, `ConvertTo-SecureString -String 'k3Vq8sLm2x' -AsPlainText`},
		Not:      []string{`ConvertTo-SecureString $env:PASS -AsPlainText -Force`, `ConvertTo-SecureString "$pass" -AsPlainText`},
	},
	{
		ID: "network-credential", Description: "password in a .NET credential", Severity: High,
		Doc:      "https://learn.microsoft.com/en-us/dotnet/api/system.net.networkcredential",
		Keywords: []string{"NetworkCredential("},
		Pattern:  `NetworkCredential\(\s*@?"[^"\n]{0,80}"\s*,\s*@?"([^"$<{%\n][^"\n]{2,127})"`, Before: 4, After: 300,
		Examples: []string{`var c = new NetworkCredential("robot@corp.net", "k3Vq8sLm2x");`},
		Not:      []string{`new NetworkCredential(user, pass)`, `new NetworkCredential("user", "password")`},
	},
	{
		ID: "jdbc-connection-password", Description: "password of a JDBC connection", Severity: High,
		Doc:      "https://docs.oracle.com/en/java/javase/21/docs/api/java.sql/java/sql/DriverManager.html",
		Keywords: []string{"getConnection("},
		Pattern:  `getConnection\(\s*[^,\n]{1,200},\s*"[^"\n]{0,80}"\s*,\s*"([^"$<{%\n][^"\n]{2,127})"\s*\)`, Before: 4, After: 400,
		Examples: []string{`DriverManager.getConnection("jdbc:mysql://db1/shop", "app", "k3Vq8sLm2x");`},
		Not:      []string{`DriverManager.getConnection(url, user, password);`, `getConnection(url, "user", "password")`},
	},
	{
		ID: "php-connection-password", Description: "password of a PHP database connection", Severity: High,
		Doc:      "https://www.php.net/manual/en/mysqli.construct.php",
		Keywords: []string{"mysqli(", "mysqli_connect(", "mysql_connect(", "mysql_pconnect(", "new PDO("},
		Pattern:  `(?:mysqli|mysqli_connect|mysql_p?connect|PDO)\(\s*[^,\n]{1,200},\s*['"][^'"\n]{0,80}['"]\s*,\s*['"]([^'"$<{%\n][^'"\n]{2,127})['"]`, Before: 16, After: 400,
		Examples: []string{`$db = new mysqli("localhost", "app", "k3Vq8sLm2x", "shop");`, `mysql_connect('db1', 'root', 'k3Vq8sLm2x')`, `new PDO('mysql:host=db1;dbname=shop', 'app', 'k3Vq8sLm2x')`},
		Not:      []string{`new mysqli($host, $user, $pass)`, `mysqli_connect("localhost", "root", "")`, `new mysqli("localhost", "username", "password")`},
	},
	{
		ID: "python-basic-auth", Description: "password of an HTTP client", Severity: High,
		Doc:      "https://requests.readthedocs.io/en/latest/user/authentication/",
		Keywords: []string{"auth=(", "HTTPBasicAuth(", "HTTPDigestAuth("},
		Pattern:  `(?:auth=|Auth)\(\s*['"][^'"\n]{1,80}['"]\s*,\s*['"]([^'"$<{%\n][^'"\n]{2,127})['"]\s*\)`, Before: 16, After: 300,
		Examples: []string{`requests.get(url, auth=("robot", "k3Vq8sLm2x"))`, `HTTPBasicAuth('robot', 'k3Vq8sLm2x')`},
		Not:      []string{`requests.get(url, auth=(user, password))`, `auth=("user", "password")`, `auth=('user', 'pass')`},
	},
	{
		ID: "login-call-password", Description: "password of a log-in", Severity: High,
		Doc:      "https://docs.python.org/3/library/smtplib.html",
		Keywords: []string{".login("},
		Pattern:  `\.login\(\s*['"][^'"\n]{1,80}['"]\s*,\s*['"]([^'"$<{%\s][^'"\n]{0,80}[0-9!@#%^&*+][^'"\n]{0,80})['"]\s*\)`, Before: 4, After: 300, Base: 0.75,
		Examples: []string{`smtp.login("robot@corp.net", "k3Vq8sLm2x")`},
		Not:      []string{`smtp.login(user, password)`, `page.login("admin", "dashboard")`, `cy.login('user', 'password')`},
	},
	{
		ID: "net-user-password", Description: "password of a Windows account", Severity: High,
		Doc:      "https://learn.microsoft.com/en-us/windows-server/administration/windows-commands/net-user",
		Keywords: []string{"net user "},
		Pattern:  `(?i)net user\s+("[^"\n]+"|[^\s/"]+)\s+([^\s/"$%<*][^\s"]{2,127})\s+/add`, Group: 2, Before: 4, After: 200,
		Examples: []string{`net user deploy k3Vq8sLm2x /add`},
		Not:      []string{`net user deploy * /add`, `net user %NAME% %PASS% /add`, `net user deploy /delete`},
	},
	{
		ID: "chpasswd-password", Description: "password that a script sets", Severity: High,
		Doc:      "https://man7.org/linux/man-pages/man8/chpasswd.8.html",
		Keywords: []string{"chpasswd"},
		Pattern:  `echo\s+(?:-e\s+)?["']?[a-z_][a-z0-9_-]{0,31}:([^\s"'$<{][^\s"']{2,127})["']?\s*\|\s*(?:sudo\s+)?chpasswd`, Before: 220, After: 16,
		Examples: []string{`RUN echo "root:k3Vq8sLm2x" | chpasswd`},
		Not:      []string{`echo "root:$PASS" | chpasswd`, `echo "root:password" | chpasswd`},
	},
}
