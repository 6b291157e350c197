package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

func newBundleCommand() *cobra.Command {
	var store, file, output string
	cmd := &cobra.Command{
		Use:   "bundle [PATH...] -o FILE",
		Short: "Write the locked results and their signatures into one file",
		Long: `bundle writes an OCI archive (a tar of an OCI image layout) for a site without a
network: every result that a dynamo.lock at or below the paths (default: the working
directory) names, the signatures and attestations that refer to it, and the list of
the container images that the manifests of those directories use. It renders them for
the list, so every request needs its locked result. The images themselves are not in
the file: mirror them with the tool of your registry.

The same locks and results give the same bytes. stdout gets what is in the file.`,
		Example: `  # carry everything of a repository
  dynamo-profile-runner bundle -o profiles.tar

  # and the images, on the connected side
  dynamo-profile-runner bundle apps -o profiles.tar --output json | jq -r '.images[].image' |
    xargs -I{} skopeo copy docker://{} dir:images/{}`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			if file == "" {
				return &usageError{errors.New("bundle needs a file to write; for example: dynamo-profile-runner bundle -o profiles.tar")}
			}
			if len(args) == 0 {
				args = []string{"."}
			}
			progress := newSteps(cmd)
			defer progress.done()
			b, err := bundle(cmd.Context(), args, store, file, progress)
			if err != nil {
				return err
			}
			progress.done()
			return reportBundle(cmd.OutOrStdout(), output, file, b)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&store, "store", "", "where the results are: oci-layout:PATH or REGISTRY/REPO (default: the nearest .dynamo-cmp/store at or above each dynamo.lock)")
	flags.StringVarP(&file, "file", "o", "", "the archive to write")
	flags.StringVar(&output, "output", "text", "text or json")
	return cmd
}

func newLoadCommand() *cobra.Command {
	var store, output string
	cmd := &cobra.Command{
		Use:   "load FILE --store REF",
		Short: "Put the results of a bundle into a store",
		Long: `load reads what bundle wrote, and stores every result in it, with its signatures, in
another store, byte by byte verified, or nothing when a byte is wrong. Digests stay, so
that the dynamo.lock files of the repository are right on both sides. What the store
has already stays as it is.

stdout gets what was stored, and the images that the site needs in its registry.`,
		Example: `  dynamo-profile-runner load profiles.tar --store registry.site.example/dynamo/profiles`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{errors.New("load needs one file; for example: dynamo-profile-runner load profiles.tar --store registry.example.com/dynamo/profiles")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			if store == "" {
				return &usageError{errors.New("load needs a store to put the results into; to name it: --store REF")}
			}
			to, err := openStore(store, ".")
			if err != nil {
				return err
			}
			f, err := os.Open(args[0])
			if err != nil {
				return &usageError{err}
			}
			defer f.Close()
			progress := newSteps(cmd)
			defer progress.done()
			progress.say("loading %s into %s", args[0], to)
			b, err := cache.LoadBundle(cmd.Context(), f, to)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			progress.done()
			return reportBundle(cmd.OutOrStdout(), output, to.String(), b)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&store, "store", "", "where the results go: oci-layout:PATH or REGISTRY/REPO")
	flags.StringVar(&output, "output", "text", "text or json")
	return cmd
}

// bundle writes the archive whole or not at all.
func bundle(ctx context.Context, paths []string, store, file string, progress *steps) (b *cache.Bundled, err error) {
	selected, images, err := selectLocked(ctx, paths, store, progress)
	if err != nil {
		return nil, err
	}
	progress.say("writing %s", file)
	temp, err := os.CreateTemp(filepath.Dir(file), ".dynamo-bundle-")
	if err != nil {
		return nil, &usageError{err}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp.Name()))
		}
	}()
	b, err = cache.WriteBundle(ctx, temp, selected, images)
	err = errors.Join(err, temp.Chmod(0o644), temp.Sync(), temp.Close())
	if err != nil {
		return nil, err
	}
	return b, os.Rename(temp.Name(), file)
}

// selectLocked finds the locked results below the paths by their store, and the
// images of what each directory renders.
func selectLocked(ctx context.Context, paths []string, ref string, progress *steps) ([]cache.Selection, []cache.Image, error) {
	jobs, err := findJobs(ctx, paths)
	if err != nil {
		return nil, nil, err
	}
	stores := map[string]*cache.Selection{}
	users := map[string][]string{}
	seen := map[string]bool{}
	var errs []error
	for _, j := range jobs {
		if seen[j.dir] {
			continue
		}
		seen[j.dir] = true
		if j.problem != nil {
			errs = append(errs, j.problem)
			continue
		}
		progress.say("%s: reading the results and rendering", j.rel)
		r := runner{opts: runOptions{store: ref}}
		at := r.ref(j)
		if stores[at] == nil {
			s, err := r.open(j)
			if err != nil {
				return nil, nil, &usageError{fmt.Errorf("--store: %w", err)}
			}
			stores[at] = &cache.Selection{Store: s}
		}
		lock, err := j.lock()
		if err == nil {
			err = imagesOf(ctx, j, lock, stores[at].Store, users)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, e := range lock.Profiles {
			stores[at].Results = append(stores[at].Results, e.Result)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	var selected []cache.Selection
	for _, at := range slices.Sorted(maps.Keys(stores)) {
		s := stores[at]
		slices.Sort(s.Results)
		s.Results = slices.Compact(s.Results)
		selected = append(selected, *s)
	}
	images := []cache.Image{}
	for _, image := range slices.Sorted(maps.Keys(users)) {
		images = append(images, cache.Image{Image: image, Dirs: slices.Compact(slices.Sorted(slices.Values(users[image])))})
	}
	return selected, images, nil
}

// imagesOf renders the directory of a job and adds it to the users of its images.
func imagesOf(ctx context.Context, j job, lock *cache.Lock, store *cache.Store, users map[string][]string) error {
	tree, rel, err := render.OpenTree(j.dir)
	if err != nil {
		return err
	}
	defer tree.Close()
	src, err := tree.Load(rel)
	if err != nil {
		return err
	}
	manifests, err := render.Build(ctx, src, func(ctx context.Context, req *profile.Request) (render.Answer, error) {
		entry, ok := lock.Entry(req.Name)
		if !ok || entry.Key != req.Inputs().Key() {
			return render.Answer{}, fmt.Errorf("%s:%d: no result is locked for request %q as it stands; to profile it: dynamo-profile-runner run %s", req.File, req.Line, req.Name, rel)
		}
		res, err := store.Get(ctx, entry.Result)
		if err != nil {
			return render.Answer{}, noStore(fmt.Errorf("%s:%d: request %q: %w", req.File, req.Line, req.Name, err))
		}
		if entry.Select > 0 {
			if res, err = res.Select(entry.Select); err != nil {
				return render.Answer{}, fmt.Errorf("%s: request %q: select: %w; to see them, delete it and: dynamo-cmp explain %s", path.Join(j.rel, cache.LockFile), req.Name, err, j.rel)
			}
		}
		return render.Answer{Result: res, Digest: string(entry.Result), Selected: entry.Select}, nil
	})
	if err != nil {
		return err
	}
	dec := yaml.NewDecoder(bytes.NewReader(manifests))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: reading its manifests: %w", rel, err)
		}
		eachImage(&doc, func(image string) { users[image] = append(users[image], rel) })
	}
}

// eachImage calls use with every image that a container of the document names,
// whatever kind of object it is in.
func eachImage(n *yaml.Node, use func(string)) {
	for i, child := range n.Content {
		named := n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == "image"
		if named && child.Kind == yaml.ScalarNode && child.Value != "" && !strings.ContainsAny(child.Value, " \t\n") {
			use(child.Value)
		}
		eachImage(child, use)
	}
}

func reportBundle(w io.Writer, output, where string, b *cache.Bundled) error {
	if output == "json" {
		return printJSON(w, b)
	}
	fmt.Fprintf(w, "%s: %d results, %d signatures and attestations\n", where, len(b.Results), len(b.Referrers))
	for _, d := range b.Results {
		fmt.Fprintln(w, " ", d)
	}
	fmt.Fprintf(w, "%d images, not included:\n", len(b.Images))
	for _, image := range b.Images {
		if _, err := fmt.Fprintf(w, "  %s (%s)\n", image.Image, strings.Join(image.Dirs, ", ")); err != nil {
			return err
		}
	}
	return nil
}
