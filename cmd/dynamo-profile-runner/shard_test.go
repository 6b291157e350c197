package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

func TestParseShard(t *testing.T) {
	indexed := map[string]string{"JOB_COMPLETION_INDEX": "3", "JOB_COMPLETIONS": "4"}
	for _, c := range []struct {
		name, text string
		env        map[string]string
		want       shard
		err        string
	}{
		{"no shard is everything", "", nil, shard{0, 1}, ""},
		{"a part", "1/3", nil, shard{1, 3}, ""},
		{"the pod's own part", "auto", indexed, shard{3, 4}, ""},
		{"auto outside an Indexed Job", "auto", map[string]string{"JOB_COMPLETION_INDEX": "3"}, shard{}, "--shard auto: this is no pod of an Indexed Job with JOB_COMPLETION_INDEX and JOB_COMPLETIONS in its environment; to name the part: --shard 0/4"},
		{"an index beyond the count", "3/3", nil, shard{}, "--shard: 3/3 is no part; want auto, or I/N with I from 0 to N-1"},
		{"a pod beyond the count", "auto", map[string]string{"JOB_COMPLETION_INDEX": "4", "JOB_COMPLETIONS": "4"}, shard{}, "--shard: 4/4 is no part; want auto, or I/N with I from 0 to N-1"},
		{"a negative index", "-1/3", nil, shard{}, "--shard: -1/3 is no part; want auto, or I/N with I from 0 to N-1"},
		{"no number", "one/two", nil, shard{}, "--shard: one/two is no part; want auto, or I/N with I from 0 to N-1"},
		{"no count", "1", nil, shard{}, "--shard: 1/ is no part; want auto, or I/N with I from 0 to N-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseShard(c.text, func(name string) string { return c.env[name] })
			if c.err != "" {
				require.EqualError(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

// Every key is in exactly one part, and the parts are about equal.
func TestShardsCoverKeys(t *testing.T) {
	const keys, count = 4000, 7
	parts := make([]int, count)
	for i := range keys {
		sum := sha256.Sum256([]byte(fmt.Sprint(i)))
		key := profile.Key("sha256:" + hex.EncodeToString(sum[:]))
		in := 0
		for index := range count {
			if (shard{index, count}).of(key) {
				parts[index]++
				in++
			}
		}
		require.Equal(t, 1, in, key)
	}
	for index, n := range parts {
		require.InDelta(t, keys/count, n, keys/count/4, "part %d", index)
	}
	require.True(t, shard{0, 3}.has(job{}))
	require.False(t, shard{1, 3}.has(job{}))
}
