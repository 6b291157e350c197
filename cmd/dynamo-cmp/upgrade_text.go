package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// print shows the requests, and then the review.
func (u *upgrade) print(out io.Writer, output string) error {
	var text string
	switch output {
	case "json":
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(u)
	case "markdown":
		u.Review.Command, u.Review.Preface = u.command(), u.markdown()
		text = u.Review.Markdown()
	case "patch":
		if !u.Review.Failed() { // all, or nothing
			text = u.patch
		}
	default:
		text = u.table()
		if u.To != "" || u.Review.Failed() {
			text += "\n" + u.Review.Text(colored(out))
		}
	}
	if _, err := io.WriteString(out, text); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

func (u *upgrade) command() string {
	command := "dynamo-cmp upgrade"
	if u.To != "" {
		command += " --to " + u.To
	}
	if u.AIConfigurator != "" {
		command += " --aiconfigurator " + u.AIConfigurator
	}
	return command + " --dry-run"
}

// table is a line for each request, and the commands that follow.
func (u *upgrade) table() string {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "REQUEST\tIN\tDYNAMO\tRESULT\tWHY")
	for _, r := range u.Requests {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", r.Request, r.Dir, u.versions(r), r.Outcome, cmp.Or(strings.Join(r.Reasons, "; "), "-"))
	}
	_ = tw.Flush() // to a builder
	for _, step := range u.next() {
		fmt.Fprintf(&b, "%s:\n\t%s\n", step[0], step[1])
	}
	return b.String()
}

// versions are those of Dynamo, before and after.
func (u *upgrade) versions(r upgraded) string {
	if is, _, _ := strings.Cut(r.Dynamo, "-"); u.To == "" || is == u.To || r.Outcome == upgradeRefused {
		return r.Dynamo
	}
	return r.Dynamo + " → " + u.To
}

// next are the commands that follow the upgrade, each with what it is for.
func (u *upgrade) next() [][2]string {
	dirs := func(want func(upgraded) bool) string {
		var out []string
		for _, r := range u.Requests {
			if want(r) && !slices.Contains(out, r.Dir) {
				out = append(out, r.Dir)
			}
		}
		return strings.Join(out, " ")
	}
	profiles := func(r upgraded) bool { return r.Outcome == upgradeProfile }
	var steps [][2]string
	add := func(what, command, dirs string) {
		if dirs != "" {
			steps = append(steps, [2]string{what, strings.ReplaceAll(command, "DIRS", dirs)})
		}
	}
	add("once the files are changed, the GPU hours of new measurements", "dynamo-profile-runner run DIRS --dry-run",
		dirs(func(r upgraded) bool { return profiles(r) && r.Measured }))
	add("once the files are changed, the new results", "dynamo-profile-runner run DIRS", dirs(profiles))
	add("with that AIConfigurator, what becomes of its results", "dynamo-profile-runner stale DIRS --reprofile",
		dirs(func(r upgraded) bool { return r.Outcome == upgradeStale }))
	return steps
}

// maxUpgraded is how many requests a comment lists.
const maxUpgraded = 100

// markdown is the table of a comment.
func (u *upgrade) markdown() string {
	var b strings.Builder
	b.WriteString("\n| Request | In | Dynamo | Result | Why |\n|---|---|---|---|---|\n")
	cell := strings.NewReplacer("|", `\|`, "`", "'", "\n", " ")
	for i, r := range u.Requests {
		if i == maxUpgraded {
			fmt.Fprintf(&b, "\nand %d more\n", len(u.Requests)-i)
			break
		}
		why := ""
		if len(r.Reasons) > 0 {
			why = "`" + cell.Replace(strings.Join(r.Reasons, "; ")) + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", cell.Replace(r.Request), cell.Replace(r.Dir), u.versions(r), r.Outcome, why)
	}
	for _, step := range u.next() {
		fmt.Fprintf(&b, "\n%s: `%s`\n", strings.ToUpper(step[0][:1])+step[0][1:], step[1])
	}
	return b.String()
}

// verdict is the status: what is refused or failed, then what changes.
func (u *upgrade) verdict(errOut io.Writer) error {
	if err := verdict(u.Review, errOut); err != nil {
		return err
	}
	if slices.ContainsFunc(u.Requests, func(r upgraded) bool { return r.Outcome == upgradeStale }) {
		return &codedError{exitChanged, errQuiet}
	}
	return nil
}
