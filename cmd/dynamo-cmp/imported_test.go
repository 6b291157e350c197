package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// adoptLocked is a program that puts imported results in the place of those that a
// directory has locked, "adopt STORE DIR".
func adoptLocked() {
	ctx := context.Background()
	store, err := cache.Open(os.Args[1], cache.Options{})
	fatal(err)
	data, err := os.ReadFile(filepath.Join(os.Args[2], cache.LockFile))
	fatal(err)
	lock, err := cache.ParseLock(cache.LockFile, data)
	fatal(err)
	for i := range lock.Profiles {
		e := &lock.Profiles[i]
		res, err := store.Get(ctx, e.Result)
		fatal(err)
		res.Provenance.Source, res.Provenance.Claims = profile.SourceAIConfigurator, res.Confidence
		res.Confidence, e.Confidence = profile.Imported, profile.Imported
		e.Result, err = store.Put(ctx, res, nil)
		fatal(err)
	}
	fatal(cache.UpdateLock(ctx, os.Args[2], lock.Profiles))
}
