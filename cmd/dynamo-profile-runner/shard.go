package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// The environment of a pod of an Indexed Job: Kubernetes sets the index, the Job's
// author says how many there are.
const (
	indexVariable       = "JOB_COMPLETION_INDEX"
	completionsVariable = "JOB_COMPLETIONS"
)

// shard is the part of all keys that one of several runners answers. Equal keys are
// in one part.
type shard struct{ index, count int }

// parseShard reads I/N, auto or nothing, which is everything.
func parseShard(text string, environment func(string) string) (shard, error) {
	index, count := "0", "1"
	switch text {
	case "":
	case "auto":
		index, count = environment(indexVariable), environment(completionsVariable)
		if index == "" || count == "" {
			return shard{}, &usageError{fmt.Errorf("--shard auto: this is no pod of an Indexed Job with %s and %s in its environment; to name the part: --shard 0/4", indexVariable, completionsVariable)}
		}
	default:
		index, count, _ = strings.Cut(text, "/")
	}
	var s shard
	var badIndex, badCount error
	s.index, badIndex = strconv.Atoi(index)
	s.count, badCount = strconv.Atoi(count)
	if badIndex != nil || badCount != nil || s.index < 0 || s.index >= s.count {
		return shard{}, &usageError{fmt.Errorf("--shard: %s/%s is no part; want auto, or I/N with I from 0 to N-1", index, count)}
	}
	return s, nil
}

// has reports whether a job is in the part. What cannot be read has no key, and is
// reported by the first.
func (s shard) has(j job) bool {
	if j.req == nil {
		return s.index == 0
	}
	return s.of(j.key)
}

func (s shard) of(key profile.Key) bool {
	sum, err := hex.DecodeString(strings.TrimPrefix(string(key), "sha256:"))
	if err != nil {
		panic(fmt.Sprintf("reading a key: %v", err)) // Inputs.Key wrote it
	}
	return binary.BigEndian.Uint64(sum)%uint64(s.count) == uint64(s.index)
}
