package main

import (
	"context"
	"fmt"
	"strings"
	"sync"

	versions "k8s.io/apimachinery/pkg/util/version"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/profile/rapid"
)

// freshness compares results with what there is now. It is safe for concurrent use.
type freshness struct {
	installed func(ctx context.Context, system string, backend profile.Backend, database string) (rapid.Installed, error)
	image     func(ctx context.Context, ref string) ([]string, error) // digests that a tag means
	revision  func(ctx context.Context, model string) (string, error) // of a model's main branch; nil to ask nobody
	images    sync.Map                                                // of ref to imageAnswer: each tag is asked for once
}

// imageAnswer is what the registry said of a tag.
type imageAnswer struct {
	digests []string
	err     error
}

// verdict is why a result would come out differently, and what could not be compared.
type verdict struct{ reasons, unknown []string }

func (v *verdict) reason(format string, args ...any) {
	v.reasons = append(v.reasons, fmt.Sprintf(format, args...))
}

func (v *verdict) doubt(format string, args ...any) {
	v.unknown = append(v.unknown, fmt.Sprintf(format, args...))
}

// of compares a result. The error is that of AIConfigurator, without which nothing is
// known; a registry or a hub that does not answer is a doubt.
func (f *freshness) of(ctx context.Context, res *profile.Result) (verdict, error) {
	var v verdict
	if err := f.tools(ctx, &v, res); err != nil {
		return v, err
	}
	f.engine(ctx, &v, res)
	f.model(ctx, &v, res)
	return v, nil
}

// tools compares AIConfigurator and its tables.
func (f *freshness) tools(ctx context.Context, v *verdict, res *profile.Result) error {
	measured := res.Inputs.Strategy == profile.StrategyThorough
	database := res.Provenance.Database
	if measured {
		database = ""
	}
	now, err := f.installed(ctx, res.Pick.System, res.Pick.Backend, database)
	if err != nil {
		return err
	}
	name, was := res.Provenance.Tool, res.Provenance.ToolVersion
	if measured {
		name, was, _ = strings.Cut(res.Provenance.Enumerator, " ")
	}
	switch {
	case was == "":
	case name != now.Tool:
		v.reason("%s %s, now %s %s", name, was, now.Tool, now.Version)
	case older(was, now.Version):
		v.reason("%s %s, now %s", name, was, now.Version)
	case was != now.Version:
		v.doubt("made by %s %s, newer than the %s that is installed", name, was, now.Version)
	case now.Tables != "" && now.Tables != res.Pick.BackendVersion:
		v.reason("tables of %s on %s %s, now %s", res.Pick.Backend, res.Pick.System, res.Pick.BackendVersion, now.Tables)
	}
	return nil
}

// older reports whether a version comes before another; one that cannot be read does.
func older(was, now string) bool {
	if was == now {
		return false
	}
	a, errA := versions.ParseGeneric(was)
	b, errB := versions.ParseGeneric(now)
	return errA != nil || errB != nil || a.LessThan(b) || a.EqualTo(b)
}

// engine compares the image that nodes ran with what its tag means now.
func (f *freshness) engine(ctx context.Context, v *verdict, res *profile.Result) {
	ref, ran := res.Inputs.RuntimeImage, res.Provenance.Image
	_, was, pinned := strings.Cut(ran, "@")
	if ref == "" || !pinned || strings.Contains(ref, "@") {
		return
	}
	asked, _ := f.images.LoadOrStore(ref, sync.OnceValue(func() imageAnswer {
		digests, err := f.image(ctx, ref)
		return imageAnswer{digests, err}
	}))
	answer := asked.(func() imageAnswer)()
	if answer.err != nil {
		v.doubt("image %s: %s", ref, answer.err)
		return
	}
	for _, digest := range answer.digests {
		if digest == was {
			return
		}
	}
	v.reason("image %s was %s, now %s", ref, was, answer.digests[0])
}

// model compares the snapshot of the model's cache with the hub's.
func (f *freshness) model(ctx context.Context, v *verdict, res *profile.Result) {
	was := res.Inputs.Revision
	if f.revision == nil || was == "" {
		return
	}
	now, err := f.revision(ctx, res.Inputs.Model)
	switch {
	case err != nil:
		v.doubt("model %s: %s", res.Inputs.Model, err)
	case now != was:
		v.reason("model %s is at %s, the request names snapshot %s; to follow: set spec.modelCache.pvcModelPath", res.Inputs.Model, now, was)
	}
}
