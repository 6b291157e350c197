package revision

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// git runs the real one, which is the judge of what is read here.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out[:max(len(out)-1, 0)])
}

func write(t *testing.T, root, name, data string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(data), 0o644))
}

// repository has a history with a merge: 1, 2, 3 on main, and s that left at 1 and
// came back in 3.
func repository(t *testing.T) string {
	root := t.TempDir()
	git(t, root, "init", "-q", "-b", "main")
	for _, step := range [][]string{{"1"}, {"checkout", "-q", "-b", "side"}, {"s"}, {"checkout", "-q", "main"}, {"2"}, {"merge", "-q", "--no-ff", "-m", "3", "side"}} {
		if len(step) > 1 {
			git(t, root, step...)
			continue
		}
		write(t, root, "dir/"+step[0], "content of "+step[0]+"\n")
		git(t, root, "add", "-A")
		git(t, root, "commit", "-q", "-m", step[0])
	}
	git(t, root, "tag", "light", "main~1")
	git(t, root, "tag", "-a", "-m", "m", "heavy", "side")
	return root
}

func TestCommitIsThatOfGit(t *testing.T) {
	root := repository(t)
	check := func(t *testing.T, at string) {
		repo, err := Open(filepath.Join(at, "not", "there"))
		require.NoError(t, err)
		require.Equal(t, at, repo.Root())
		short := git(t, at, "rev-parse", "--short=7", "side")
		for _, rev := range []string{"HEAD", "@", "main", "heads/main", "refs/heads/side", "side", "light", "heavy", "main~1", "main~", "main^",
			"main^2", "main^2~1", "main~2", "@~1", "HEAD^0", "main^^", short, git(t, at, "rev-parse", "main")} {
			c, err := repo.Commit(rev)
			require.NoError(t, err, rev)
			require.Equal(t, git(t, at, "rev-parse", rev+"^{commit}"), c.Hash, rev)
		}
		for rev, want := range map[string]string{
			"nothing":   `revision "nothing": no such branch, tag or commit here`,
			"main~9":    "has no such parent",
			"main^3":    "has no such parent",
			"main~x":    "want a branch, a tag or a commit, with ~N or ^N behind it",
			"abc":       "no such branch, tag or commit here",
			"main:dir":  "no such branch, tag or commit here",
			"--upload":  "no such branch, tag or commit here",
			"../../etc": "no such branch, tag or commit here",
		} {
			_, err := repo.Commit(rev)
			require.ErrorContains(t, err, want, rev)
		}
	}
	t.Run("loose objects", func(t *testing.T) { check(t, root) })
	t.Run("a linked worktree", func(t *testing.T) {
		linked := filepath.Join(t.TempDir(), "linked")
		git(t, root, "worktree", "add", "-q", "--detach", linked, "main")
		check(t, linked)
		git(t, linked, "checkout", "-q", "side")
		repo, err := Open(linked)
		require.NoError(t, err)
		head, err := repo.Commit("HEAD")
		require.NoError(t, err)
		require.Equal(t, git(t, root, "rev-parse", "side"), head.Hash)
		git(t, root, "worktree", "remove", "--force", linked)
	})
	t.Run("packs", func(t *testing.T) {
		git(t, root, "gc", "-q")
		git(t, root, "pack-refs", "--all")
		check(t, root)
	})
}

func TestBaseIsWhereHistoriesPart(t *testing.T) {
	root := repository(t)
	repo, err := Open(root)
	require.NoError(t, err)
	base := func(head string) string {
		c, err := repo.Commit(head)
		require.NoError(t, err)
		b, err := repo.Base(c)
		require.NoError(t, err)
		return b.Hash
	}
	require.Equal(t, git(t, root, "rev-parse", "side"), base("side"), "without a remote")
	git(t, root, "update-ref", "refs/remotes/origin/master", "main~1")
	require.Equal(t, git(t, root, "rev-parse", "main~2"), base("side"))
	git(t, root, "update-ref", "refs/remotes/origin/trunk", "side")
	git(t, root, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk")
	require.Equal(t, git(t, root, "rev-parse", "side"), base("main"))
	git(t, root, "checkout", "-q", "--orphan", "alone")
	git(t, root, "commit", "-q", "-m", "alone")
	c, err := repo.Commit("alone")
	require.NoError(t, err)
	_, err = repo.Base(c)
	require.ErrorContains(t, err, "origin/HEAD has no commit in common with "+c.Hash)
}

func TestHistoryThatIsNotHere(t *testing.T) {
	root := repository(t)
	shallow := filepath.Join(t.TempDir(), "shallow")
	git(t, t.TempDir(), "clone", "-q", "--depth", "1", "file://"+root, shallow)
	repo, err := Open(shallow)
	require.NoError(t, err)
	_, err = repo.Commit("HEAD~1")
	require.ErrorContains(t, err, "to fetch it: git fetch --unshallow")
}

func TestFilesOfACommit(t *testing.T) {
	root := t.TempDir()
	git(t, root, "init", "-q", "-b", "main")
	write(t, root, "a/b/file", "content\n")
	write(t, root, "a/b.txt", "beside a directory of the same beginning\n")
	write(t, root, "run", "#!\n")
	require.NoError(t, os.Chmod(filepath.Join(root, "run"), 0o755))
	for link, target := range map[string]string{
		"link": "a/b/file", "dir": "a/b", "a/up": "../run", "chain": "dir/../b/file", "out": "../x", "a/out": "../../x",
		"absolute": "/etc/passwd", "loop": "loop", "gone": "nothing",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(root, link)))
	}
	git(t, root, "add", "-A")
	git(t, root, "commit", "-q", "-m", "m")
	require.NoError(t, os.RemoveAll(filepath.Join(root, "a"))) // the worktree does not matter

	repo, err := Open(root)
	require.NoError(t, err)
	head, err := repo.Commit("HEAD")
	require.NoError(t, err)
	files := head.Files()
	for name, want := range map[string]string{
		"a/b/file": "content\n", "link": "content\n", "dir/file": "content\n", "chain": "content\n", "a/up": "#!\n", "a/b.txt": "beside a directory of the same beginning\n",
	} {
		data, err := fs.ReadFile(files, name)
		require.NoError(t, err, name)
		require.Equal(t, want, string(data), name)
		hash, err := files.Hash(name)
		require.NoError(t, err)
		require.Equal(t, BlobHash(data), hash)
		info, err := files.Stat(name)
		require.NoError(t, err)
		require.Equal(t, int64(len(data)), info.Size())
	}
	for name, want := range map[string]string{
		"out": "path escapes from parent", "a/out": "path escapes from parent", "absolute": "path escapes from parent",
		"loop": "too many levels of symbolic links", "gone": "file does not exist", "a/b/file/x": "not a directory", "../x": "invalid argument",
	} {
		_, err := files.Open(name)
		require.ErrorContains(t, err, want, name)
	}
	require.Equal(t, git(t, root, "rev-parse", "HEAD:a/b/file"), BlobHash([]byte("content\n")))
	target, err := files.ReadLink("chain")
	require.NoError(t, err)
	require.Equal(t, "dir/../b/file", target)
	info, err := files.Lstat("link")
	require.NoError(t, err)
	require.Equal(t, fs.ModeSymlink|0o777, info.Mode())
	entries, err := files.ReadDir("dir")
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestNoRepository(t *testing.T) {
	_, err := Open(t.TempDir())
	require.ErrorContains(t, err, "no Git repository here or above")
	root := t.TempDir()
	write(t, root, ".git", "gitdir nowhere\n")
	_, err = Open(root)
	require.ErrorContains(t, err, "names no gitdir")
}

// A few bytes can be a gigabyte: what is too large is refused before it is unpacked.
func TestLargeObjects(t *testing.T) {
	root := t.TempDir()
	git(t, root, "init", "-q", "-b", "main")
	write(t, root, "large", strings.Repeat("#\n", maxObject/2+1))
	write(t, root, "allowed", strings.Repeat("#\n", maxObject/2))
	git(t, root, "add", "-A")
	git(t, root, "commit", "-q", "-m", "m")
	git(t, root, "tag", "-a", "-m", strings.Repeat("m", 64<<10), "annotated")
	check := func(t *testing.T) {
		repo, err := Open(root)
		require.NoError(t, err)
		head, err := repo.Commit("annotated")
		require.NoError(t, err)
		files := head.Files()
		info, err := files.Stat("large")
		require.NoError(t, err)
		require.EqualValues(t, maxObject+2, info.Size())
		_, err = fs.ReadFile(files, "large")
		require.EqualError(t, err, fmt.Sprintf("open large: object %s is 16777218 bytes, more than the 16777216 allowed", git(t, root, "rev-parse", "main:large")))
		data, err := fs.ReadFile(files, "allowed")
		require.NoError(t, err)
		require.Len(t, data, maxObject)
	}
	t.Run("loose", check)
	git(t, root, "gc", "-q")
	t.Run("packed", check)

	t.Run("a commit", func(t *testing.T) {
		message := filepath.Join(t.TempDir(), "message")
		require.NoError(t, os.WriteFile(message, []byte(strings.Repeat("m", maxObject)), 0o644))
		git(t, root, "commit", "-q", "--allow-empty", "-F", message)
		repo, err := Open(root)
		require.NoError(t, err)
		_, err = repo.Commit("HEAD")
		require.ErrorContains(t, err, "more than the 16777216 allowed")
	})
}

// What names the directory of a repository is a short file.
func TestGitFileIsBounded(t *testing.T) {
	root := t.TempDir()
	write(t, root, ".git", "gitdir: "+strings.Repeat("x", 9000))
	_, err := Open(root)
	require.ErrorContains(t, err, filepath.Join(root, ".git")+": is no file of at most 8192 bytes")
	require.NoError(t, os.Remove(filepath.Join(root, ".git")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(root, ".git"), 0o644))
	_, err = Open(root)
	require.ErrorContains(t, err, "is no file of at most 8192 bytes")
}
