package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// workflow is a workflow of GitHub Actions, as far as the recipe has it.
type workflow struct {
	On          string
	Permissions map[string]string
	Env         map[string]string
	Defaults    struct{ Run struct{ Shell string } }
	Jobs        map[string]struct {
		Permissions map[string]string
		Steps       []step
	}
}

type step struct {
	Name, Uses, Run, If string
	With, Env           map[string]string
}

func readWorkflow(t *testing.T) workflow {
	t.Helper()
	data, err := os.ReadFile(recipes + ".github/workflows/dynamo-cmp.yaml")
	require.NoError(t, err)
	var w workflow
	require.NoError(t, yaml.Unmarshal(data, &w))
	return w
}

var pinned = regexp.MustCompile(`^[a-z-]+(/[a-z-]+)+@[0-9a-f]{40}$`)

// An expression in a script would let a branch's name be run.
func TestWorkflowIsSafe(t *testing.T) {
	w := readWorkflow(t)
	require.Equal(t, "pull_request", w.On)
	require.Empty(t, w.Permissions)
	for name, job := range w.Jobs {
		require.Equal(t, "read", job.Permissions["contents"], name)
		for _, s := range job.Steps {
			require.NotContains(t, s.Run, "${{", s.Name)
			if s.Uses != "" {
				require.Regexp(t, pinned, s.Uses)
			}
			if strings.HasPrefix(s.Uses, "actions/checkout@") {
				require.Equal(t, "false", s.With["persist-credentials"])
			}
		}
	}
}

// run runs the shell steps of a job as a runner does, and returns what each that ran
// printed, and the status of the last. Steps with a condition are those that are left
// out for a fork.
func (w workflow) run(p *pullRequest, job string, fork bool) (map[string]string, int) {
	p.t.Helper()
	require.Equal(p.t, "bash", w.Defaults.Run.Shell)
	files := map[string]string{"GITHUB_PATH": "", "GITHUB_OUTPUT": "", "GITHUB_STEP_SUMMARY": ""}
	env := []string{"GITHUB_REPOSITORY=inference/gitops-repo"}
	for name := range files {
		files[name] = filepath.Join(p.t.TempDir(), name)
		require.NoError(p.t, os.WriteFile(files[name], nil, 0o644))
		env = append(env, name+"="+files[name])
	}
	for name, value := range w.Env {
		env = append(env, name+"="+value)
	}
	printed := map[string]string{}
	for _, s := range w.Jobs[job].Steps {
		if s.Run == "" || s.If != "" && fork {
			continue
		}
		own := env
		for name, value := range s.Env {
			own = append(own, name+"="+p.expression(value, p.wrote(files["GITHUB_OUTPUT"])))
		}
		if dirs := p.wrote(files["GITHUB_PATH"]); dirs != "" {
			own = append(own, "PATH="+p.bin+":"+strings.TrimSpace(dirs)+":"+os.Getenv("PATH"))
		}
		out, status := p.shell(own, "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", s.Run)
		printed[s.Name] = out
		if status != 0 {
			return printed, status
		}
	}
	printed["summary"] = p.wrote(files["GITHUB_STEP_SUMMARY"])
	return printed, 0
}

// expression is what GitHub puts in the place of one.
func (p *pullRequest) expression(text, outputs string) string {
	p.t.Helper()
	switch text {
	case "${{ github.token }}":
		return "s3cret"
	case "${{ github.event.pull_request.number }}":
		return "7"
	case "${{ steps.review.outputs.status }}":
		return strings.TrimSpace(strings.TrimPrefix(outputs, "status="))
	}
	p.t.Fatalf("expression %q is not known here", text)
	return ""
}

// onGitHub puts the programs of a runner on PATH. gh keeps comments in a file each;
// those of others are in its list as well.
func onGitHub(t *testing.T) *pullRequest {
	t.Helper()
	for _, tool := range []string{"bash", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	p := newPullRequest(t)
	command, err := exec.LookPath("dynamo-cmp")
	require.NoError(t, err)
	p.standIn("docker", `case $1 in
create) [ "$2" = "$RENDERER" ]; echo c0ffee ;;
cp) [ "$2" = c0ffee:/usr/local/bin/dynamo-cmp ]; cp `+command+` "$3" ;;
rm) echo c0ffee ;;
esac
`)
	p.standIn("pipx", `[ "$1 $2 $4" = "run --spec check-jsonschema" ]; shift 3; exec "$@"`+"\n")
	p.standIn("gh", `cd `+p.bin+`
[ "$GH_TOKEN" = s3cret ]
echo "$*" | sed 's/--jq.*//; s/--field.*//; s/ *$//' >> gh.log
case "$*" in
*--paginate*) for jq; do :; done; [ -s comments ] || echo '[]' > comments; jq -r "$jq" comments ;;
*"--method POST"*) for i; do body=${i#body=@}; done
	jq --rawfile body "$body" '. + [{id: 1, user: {login: "someone"}, body: $body}, {id: 42, user: {login: "github-actions[bot]"}, body: $body}]' comments > new
	mv new comments ;;
*"--method PATCH"*/comments/42*) for i; do body=${i#body=@}; done
	jq --rawfile body "$body" '(.[] | select(.id == 42)).body = $body' comments > new
	mv new comments ;;
*) exit 1 ;;
esac
`)
	return p
}

const created, updated, listed = "api --silent --method POST repos/inference/gitops-repo/issues/7/comments\n",
	"api --silent --method PATCH repos/inference/gitops-repo/issues/comments/42\n",
	"api --paginate repos/inference/gitops-repo/issues/7/comments?per_page=100\n"

func TestWorkflowOfAChange(t *testing.T) {
	p, w := onGitHub(t), readWorkflow(t)
	slaChange(p, "49")
	p.merged()
	printed, status := w.run(p, "check", false)
	require.Zero(t, status, printed)
	require.Contains(t, printed["Policy"], "apps/llama-70b/dynamo.lock")
	printed, status = w.run(p, "review", false)
	require.Zero(t, status, printed)
	require.Contains(t, printed["summary"], "input sla.itlMillis 50, now 49")
	require.Equal(t, listed+created, p.wrote(filepath.Join(p.bin, "gh.log")))

	// The next push, while main has moved on: the same comment, and no change but the
	// branch's.
	p.git("checkout", "-q", "main")
	p.edit("apps/qwen-small/dynamo.lock", "simulated", "simulated # as it is")
	p.push("main moves")
	p.git("checkout", "-q", "change")
	p.edit("apps/llama-70b/dgdr.yaml", "itl: 49", "itl: 48")
	p.reprofile("apps/llama-70b")
	p.push("another")
	p.merged()
	printed, status = w.run(p, "review", false)
	require.Zero(t, status, printed)
	require.NotContains(t, printed["summary"], "qwen-small")
	require.Equal(t, listed+created+listed+updated, p.wrote(filepath.Join(p.bin, "gh.log")))
	require.Contains(t, p.wrote(filepath.Join(p.bin, "comments")), "input sla.itlMillis 50, now 48")
	for step, text := range printed {
		require.NotContains(t, text, "s3cret", step)
	}
}

func TestWorkflowWithNothingToSay(t *testing.T) {
	p, w := onGitHub(t), readWorkflow(t)
	nothingDeployed(p)
	p.merged()
	for _, job := range []string{"check", "review"} {
		printed, status := w.run(p, job, false)
		require.Zero(t, status, printed)
	}
	require.Equal(t, listed, p.wrote(filepath.Join(p.bin, "gh.log")))
}

func TestWorkflowOfAMistake(t *testing.T) {
	p, w := onGitHub(t), readWorkflow(t)
	broken(p)
	p.merged()
	printed, status := w.run(p, "check", false)
	require.Equal(t, 1, status)
	require.Contains(t, printed["Lint"], brokenAt+": error: spec.sla.itl: ")
	require.Equal(t, []string{"type"}, sarifResults(t, p.wrote(filepath.Join(p.temp, "lint.sarif")), "apps/llama-70b/dgdr.yaml"))
	printed, status = w.run(p, "review", false)
	require.Equal(t, 1, status)
	require.Contains(t, printed["Gate"], brokenAt)
	require.Contains(t, p.wrote(filepath.Join(p.bin, "comments")), brokenAt)
}

func TestWorkflowRefuses(t *testing.T) {
	p, w := onGitHub(t), readWorkflow(t)
	naiveResult(p)
	p.merged()
	printed, status := w.run(p, "review", true) // of a fork: no comment
	require.Equal(t, 6, status)
	require.Contains(t, printed["Gate"], "its result is naive (--fail-on naive)")
	require.NotContains(t, printed, "Comment")
	printed, status = w.run(p, "check", false)
	require.Equal(t, 1, status)
	require.Contains(t, printed["Policy"], "is naive, and the policy allows measured, simulated")
}
