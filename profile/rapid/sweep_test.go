package rapid

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// What misses the targets stays where nothing meets them, to say by how much.
func TestChoose(t *testing.T) {
	in := inputs(qwen, "h200_sxm")
	in.SLA = profile.Targets{TTFTMillis: 1000, ITLMillis: 50}
	good := ranked{Row: row{"ttft": 900.0, "tpot": 40.0}}
	missed := ranked{Row: row{"ttft": 900.0, "tpot": 60.0}}
	split := ranked{Row: row{"ttft": 900.0, "tpot": 40.0, "(p)cp": 4.0}}
	autoscaled := in
	autoscaled.Picking = profile.PickAutoscale
	for _, c := range []struct {
		name        string
		in          profile.Inputs
		chosen      string
		agg, disagg []ranked
		want        profile.Mode
		left        []ranked
	}{
		{"the faster mode meets them", in, "disagg", []ranked{good}, []ranked{good, missed}, profile.Disaggregated, []ranked{good}},
		{"the faster mode misses them", in, "disagg", []ranked{good}, []ranked{missed}, profile.Aggregated, []ranked{good}},
		{"the faster mode cannot be deployed", in, "disagg", []ranked{missed}, []ranked{split}, profile.Aggregated, []ranked{missed}},
		{"nothing meets them", in, "disagg", []ranked{missed}, []ranked{missed}, profile.Disaggregated, []ranked{missed}},
		{"nothing is ranked", in, "", nil, nil, "", nil},
		{"roles are needed", autoscaled, "disagg", []ranked{good}, []ranked{missed}, profile.Disaggregated, []ranked{missed}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &session{in: c.in}
			out := outcome{Chosen: c.chosen, Best: map[profile.Mode][]ranked{profile.Aggregated: c.agg, profile.Disaggregated: c.disagg}}
			got := s.choose(out)
			require.Equal(t, c.want, got)
			require.Equal(t, c.left, out.Best[got])
		})
	}
}
