package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What Argo CD shows of an error: under 4 KB, whole lines, and how to see the rest.
func TestFailureUnderArgoCD(t *testing.T) {
	var errs []error
	for i := range 200 {
		errs = append(errs, fmt.Errorf("apps/a/dgdr.yaml:%d: spec.workload.isl: must be positive", i))
	}
	all := errors.Join(errs...)
	require.Equal(t, all.Error(), failure(all))

	t.Setenv(argoName, "a")
	t.Setenv(argoPath, "apps/a")
	got := failure(all)
	require.Less(t, len(got), 4096)
	lines := strings.Split(got, "\n")
	for i, line := range lines[:len(lines)-1] {
		require.Equal(t, errs[i].Error(), line)
	}
	require.Equal(t, fmt.Sprintf("and %d more: run dynamo-cmp generate apps/a to see all", 200-len(lines)+1), lines[len(lines)-1])

	require.Equal(t, "one problem", failure(errors.New("one problem")))
	require.Equal(t, "one problem, to fix it:\n\tthis\n\tthat", failure(errors.New("one problem, to fix it:\n\tthis\n\tthat")))
	long := failure(errors.New("dgdr.yaml:1: " + strings.Repeat("é", 5000) + "; to fix it: edit\x1b[2J"))
	require.Less(t, len(long), 1001)
	require.Regexp(t, `^dgdr.yaml:1: é+ … é+; to fix it: edit \[2J$`, long)
}

// Work that does not look at its context ends with a message all the same, and work
// that does says itself why.
func TestDeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	stuck := make(chan struct{})
	defer close(stuck)
	err := within(ctx, time.Millisecond, func() error { <-stuck; return nil })
	require.EqualError(t, err, "rendering: context deadline exceeded; to allow more time: DYNAMO_CMP_TIMEOUT")

	err = within(ctx, time.Minute, func() error { <-ctx.Done(); return errors.New("reading the store: too slow") })
	require.EqualError(t, err, "reading the store: too slow")
}
