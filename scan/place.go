package scan

import (
	"bytes"
	"path"
	"strings"
)

// place is what the path of a file says of what is in it.
type place struct {
	path, base, ext string // ext without the dot; all lower case but path
	code            bool   // values without quotes are expressions
	settings        bool   // values without quotes are values
	yaml            bool
	test, doc       bool
	lock, locale    bool
	binary          bool // of the content
	minified        bool // of the content
}

var (
	codeExtensions = words(`go py pyi js jsx ts tsx mjs cjs java kt kts scala groovy gradle cs vb fs c h cc cpp cxx hpp hh m mm swift rs rb php pl pm lua dart ex exs erl hrl hs clj cljs
		r jl nim zig v d pas sol vue svelte coffee elm ml mli ps1 psm1 cshtml razor jsp aspx ipynb ino s asm proto graphql pyx cmake`)
	settingExtensions = words(`env ini cfg conf config cnf properties props yml yaml toml netrc pgpass htpasswd sh bash zsh fish bat cmd dockerfile envrc tfvars rc npmrc pypirc
		service desktop reg plist list credentials aws opts`)
	lockFiles = words(`package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml composer.lock gemfile.lock cargo.lock poetry.lock pipfile.lock go.sum packages.lock.json mix.lock podfile.lock
		pubspec.lock flake.lock uv.lock bun.lock deno.lock gradle.lockfile paket.lock .terraform.lock.hcl cartfile.resolved package.resolved`)
	testFolders   = words(`test tests testing testdata spec specs __tests__ __mocks__ mock mocks fixture fixtures e2e testutil testutils unittest unittests integrationtest stubs`)
	docFolders    = words(`doc docs documentation example examples sample samples demo demos tutorial tutorials`)
	localeFolders = words(`locale locales i18n l10n lang langs language languages translations translation messages nls`)
)

func placeOf(name string) *place {
	low := strings.ToLower(name)
	p := &place{path: name, base: path.Base(low)}
	p.ext = strings.TrimPrefix(path.Ext(p.base), ".")
	switch {
	case strings.HasPrefix(p.base, ".env"), strings.HasPrefix(p.base, "dockerfile"), p.ext == "" && strings.HasPrefix(p.base, "."):
		p.settings = true
	case codeExtensions.has(p.ext):
		p.code = true
	case settingExtensions.has(p.ext):
		p.settings = true
	}
	p.yaml = p.ext == "yml" || p.ext == "yaml"
	p.lock = lockFiles.has(p.base)
	p.doc = p.ext == "md" || p.ext == "rst" || p.ext == "adoc" || p.ext == "html"
	p.locale = p.ext == "po" || p.ext == "pot" || p.ext == "xlf" || p.ext == "resx" || p.ext == "strings" || p.ext == "arb" || strings.HasPrefix(p.base, "messages")
	for dir := range strings.SplitSeq(path.Dir(low), "/") {
		p.test = p.test || testFolders.has(dir) || strings.HasSuffix(dir, "-tests") || strings.HasSuffix(dir, "_test")
		p.doc = p.doc || docFolders.has(dir)
		p.locale = p.locale || localeFolders.has(dir)
	}
	stem := strings.TrimSuffix(p.base, "."+p.ext)
	p.test = p.test || strings.HasSuffix(stem, "_test") || strings.HasSuffix(stem, ".test") || strings.HasSuffix(stem, ".spec") || strings.HasSuffix(stem, "test") || strings.HasPrefix(stem, "test_")
	p.minified = strings.HasSuffix(stem, ".min") || strings.HasSuffix(stem, "-min")
	return p
}

// look adds what the beginning of the content tells.
func (p *place) look(head []byte) {
	p.binary = bytes.IndexByte(head, 0) >= 0
	switch p.ext {
	case "js", "mjs", "cjs", "css", "html", "svg":
		for line := range bytes.SplitSeq(head, []byte("\n")) {
			p.minified = p.minified || len(line) > 2000
		}
	}
}
