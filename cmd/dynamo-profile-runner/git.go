package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/telemetry"
)

// gitRepo is a git repository on this machine. It is worked on with git itself, so
// that a user's configuration, credential helpers, hooks and signing apply.
type gitRepo struct {
	dir     string
	secrets telemetry.Secrets
}

// openGit is the repository at a directory. Credentials in remote, a URL, are kept out
// of every message.
func openGit(dir, remote string) gitRepo {
	return gitRepo{dir, telemetry.SecretsOf(remote)}
}

// in is the same repository, seen from another worktree.
func (g gitRepo) in(dir string) gitRepo { return gitRepo{dir, g.secrets} }

// run runs git and returns what it prints, without the last line's end.
func (g gitRepo) run(ctx context.Context, args ...string) (string, error) {
	return g.feed(ctx, "", args...)
}

// feed runs git with a text as its input.
func (g gitRepo) feed(ctx context.Context, input string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", g.dir}, args...)...)
	cmd.Env = gitEnvironment(os.Environ())
	cmd.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err == nil {
		return strings.TrimSuffix(stdout.String(), "\n"), nil
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	return "", &gitError{command: args[0], output: g.secrets.Redact(lastOf(stderr.String(), stdout.String())), err: err}
}

// origin is the URL of the remote of that name.
func (g gitRepo) origin(ctx context.Context) (string, error) {
	return g.run(ctx, "config", "--get", "remote.origin.url")
}

// yes reports whether git answers a question with yes, which is exit status 0, and not
// with no, which is 1.
func (g gitRepo) yes(ctx context.Context, args ...string) (bool, error) {
	_, err := g.run(ctx, args...)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return false, nil
	}
	return err == nil, err
}

// gitError is a git command that failed.
type gitError struct {
	command, output string
	err             error
}

func (e *gitError) Error() string {
	if e.output == "" {
		return fmt.Sprintf("git %s: %s", e.command, e.err)
	}
	return fmt.Sprintf("git %s: %s", e.command, e.output)
}

func (e *gitError) Unwrap() error { return e.err }

// gitEnvironment leaves out what ties git to another repository, as a hook would be,
// and keeps git from asking.
func gitEnvironment(environment []string) []string {
	own := slices.DeleteFunc(slices.Clone(environment), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX"}, name)
	})
	return append(own, "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
}

// telling begin the lines by which git and servers say what is wrong.
var telling = regexp.MustCompile(`^(fatal|error|remote): |^! \[`)

// lastOf is the end of the first text that has any, as one line: what tells, else the
// last lines.
func lastOf(texts ...string) string {
	for _, text := range texts {
		var lines, tell []string
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if line == "" {
				continue
			}
			lines = append(lines, line)
			if telling.MatchString(line) {
				tell = append(tell, line)
			}
		}
		if len(tell) > 0 {
			lines = tell
		}
		if len(lines) > 0 {
			return strings.Join(lines[max(0, len(lines)-6):], "; ")
		}
	}
	return ""
}
