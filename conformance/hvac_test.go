package conformance

import (
	"os"
	"os/exec"
	"testing"
)

// debianPython is the Python that Debian's packages of hvac and dotenv are for;
// another may stand first on PATH.
const debianPython = "/usr/bin/python3"

func TestHvac(t *testing.T) {
	addr := startDev(t)
	cmd := exec.Command(debianPython, "-B", "-W", "ignore", "hvac/test_hvac.py", "-v")
	cmd.Env = append(os.Environ(), "COFFER_ADDR="+addr, "COFFER_TOKEN="+rootToken)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
