package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// firstFile is what init writes into a directory.
const firstFile = "dgdr.yaml"

func newInitCommand() *cobra.Command {
	var d draft
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a first DGDR",
		Long: `init writes DIR/dgdr.yaml (default: the working directory), a commented DGDR, and
makes DIR. It asks for what no flag says where it runs on a terminal; else what is not
said is left to its default, and the model has to be. GPUs come from hardware.yaml at
or above DIR, where there is one.

It overwrites nothing. What it writes is checked before, as generate checks it.`,
		Example: `  # by asking
  dynamo-cmp init apps/qwen

  # in a script
  dynamo-cmp init apps/qwen --model Qwen/Qwen3-32B --gpu-sku h200_sxm --total-gpus 8 --ttft 500 --itl 30`,
		Args: oneDirectory,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := directory(args)
			tree, rel, err := openAbove(dir)
			if err != nil {
				return &codedError{exitInput, err}
			}
			defer tree.Close()
			d.given = cmd.Flags().Changed
			d.hardwareFile = hardwareAbove(tree, rel)
			if d.name == "" {
				d.name = nameOf(dir)
			}
			if in, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(in.Fd())) {
				if err := d.ask(in, cmd.ErrOrStderr()); err != nil {
					return &codedError{exitInput, err}
				}
			}
			text, err := d.checked(tree, rel)
			if err != nil {
				return err
			}
			file := filepath.Join(dir, firstFile)
			if err := writeNew(file, text); err != nil {
				return &codedError{exitInput, err}
			}
			_, err = fmt.Fprint(profile.Printable(cmd.OutOrStdout()), next(file, dir, isKustomized(tree, rel)))
			return err
		},
	}
	d.flags(cmd.Flags())
	return cmd
}

// openAbove opens the checkout of a directory that may not be there yet.
func openAbove(dir string) (*render.Tree, string, error) {
	at, below := dir, ""
	for {
		info, err := os.Stat(at)
		if err == nil && !info.IsDir() {
			return nil, "", fmt.Errorf("%s: is a file; init takes a directory", at)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(at) == at {
			return nil, "", err
		}
		at, below = filepath.Dir(at), filepath.Join(filepath.Base(at), below)
	}
	tree, rel, err := openTree(at)
	return tree, path.Join(rel, filepath.ToSlash(below)), err
}

// hardwareAbove is the nearest hardware file at or above a directory, empty without
// one.
func hardwareAbove(tree *render.Tree, dir string) string {
	for up := dir; ; up = path.Dir(up) {
		name := path.Join(up, "hardware.yaml")
		if _, err := tree.Read(name); err == nil {
			return name
		}
		if up == "." {
			return ""
		}
	}
}

func isKustomized(tree *render.Tree, dir string) bool {
	return (&linter{tree: tree}).kustomization(dir) != nil
}

// nameOf is the name of a request by its directory.
func nameOf(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	word := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}
	return strings.Trim(strings.Map(word, strings.ToLower(filepath.Base(abs))), "-.")
}

// checked is the file, as it parses where it will stand.
func (d *draft) checked(tree *render.Tree, dir string) (string, error) {
	if d.model == "" {
		return "", &codedError{exitInput, errors.New("the model is missing; to name it: --model ORG/NAME")}
	}
	if d.hardwareFile == "" && (d.gpuSKU == "" || d.totalGPUs == 0) {
		return "", &codedError{exitInput, errors.New("the GPUs are missing, as there is no hardware.yaml; to name them: --gpu-sku h200_sxm --total-gpus 8")}
	}
	text := d.text()
	docs, err := profile.Documents(path.Join(dir, firstFile), []byte(text))
	if err == nil {
		_, err = tree.Source(dir, docs)
	}
	return text, err
}

// writeNew writes a file that is not there.
func writeNew(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: is there already, and init overwrites nothing; to write another: name another directory", file)
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	return errors.Join(err, f.Close())
}

// next says what comes after init.
func next(file, dir string, kustomized bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "wrote %s\n", file)
	if kustomized {
		fmt.Fprintf(&b, "list it under resources of the kustomization beside it\n")
	}
	fmt.Fprintf(&b, "to profile it:\n\tdynamo-profile-runner run %s\nto render it then:\n\tdynamo-cmp generate %s\n", dir, dir)
	return b.String()
}
