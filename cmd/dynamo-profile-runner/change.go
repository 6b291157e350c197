package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// change is a lock that moves from one result to another.
type change struct {
	name   string          // of the request
	before *profile.Result // nil where there was none, or it is gone
	after  *profile.Result
	files  []string // of the repository, that change
}

// message is the message of a commit with the changes.
func message(changes []change) string {
	var b strings.Builder
	if len(changes) == 1 {
		fmt.Fprintf(&b, "Pin the profiling result of %s\n\n", changes[0].name)
	} else {
		fmt.Fprintf(&b, "Pin %d profiling results\n\n", len(changes))
	}
	for _, c := range changes {
		fmt.Fprintln(&b, c)
	}
	return b.String()
}

// String is the change on one line: llama-70b: TP2 -> TP4, 8 -> 16 GPUs, TTFT 380 -> 210 ms.
func (c change) String() string {
	if c.before == nil {
		parts := append([]string{"new"}, features(c.after)...)
		return c.name + ": " + strings.Join(parts, ", ")
	}
	return c.name + ": " + difference(c.before, c.after)
}

// difference says what of a result is another.
func difference(before, after *profile.Result) string {
	was, is := before.Pick, after.Pick
	var parts []string
	moved := func(format, a, b string) {
		if a != b {
			parts = append(parts, fmt.Sprintf(format, a+" -> "+b))
		}
	}
	moved("%s", shape(was), shape(is))
	moved("%s", string(was.Backend), string(is.Backend))
	moved("%s GPUs", fmt.Sprint(was.TotalGPUs), fmt.Sprint(is.TotalGPUs))
	if was.Expected != nil && is.Expected != nil {
		moved("TTFT %s ms", millis(was.Expected.TTFTMillis), millis(is.Expected.TTFTMillis))
		moved("ITL %s ms", millis(was.Expected.ITLMillis), millis(is.Expected.ITLMillis))
		moved("%s tokens/s/GPU", millis(was.Expected.TokensPerSecondPerGPU), millis(is.Expected.TokensPerSecondPerGPU))
	}
	moved("%s", string(before.Confidence), string(after.Confidence))
	if a, b := before.Provenance, after.Provenance; a.Tool == b.Tool {
		moved(a.Tool+" %s", a.ToolVersion, b.ToolVersion)
	} else {
		moved("%s", a.Name(), b.Name())
	}
	for _, changed := range profile.Changes(before.Inputs, after.Inputs) {
		parts = append(parts, "asked for "+changed)
	}
	if len(parts) == 0 {
		return "the same pick, from another result"
	}
	return strings.Join(parts, ", ")
}

// features are what a result is known by.
func features(res *profile.Result) []string {
	parts := []string{shape(res.Pick), string(res.Pick.Backend), fmt.Sprintf("%d GPUs", res.Pick.TotalGPUs)}
	if m := res.Pick.Expected; m != nil {
		parts = append(parts, "TTFT "+millis(m.TTFTMillis)+" ms", "ITL "+millis(m.ITLMillis)+" ms")
	}
	return append(parts, string(res.Confidence))
}

// shape is how the engines of a pick are split: TP4, or prefill TP2 + decode TP4.
func shape(pick profile.Pick) string {
	var roles []string
	for _, role := range pick.Roles {
		text := strings.ToUpper(role.Parallelism.Label())
		if len(pick.Roles) > 1 {
			text = string(role.Name) + " " + text
		}
		roles = append(roles, text)
	}
	return strings.Join(roles, " + ")
}

// millis is a number without digits that nobody reads: one decimal below 100.
func millis(v float64) string {
	if v < 100 {
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
	}
	return fmt.Sprintf("%.0f", math.Round(v))
}
