package profile

import (
	"strconv"
	"strings"
)

// Engines are the engines that a thorough search measures, in the order in which
// AIConfigurator enumerates them. Each is a role with one replica, whose
// BatchSize is the limit of running requests per attention data parallel rank.
type Engines struct {
	Model       Model
	Prefill     []Role
	Decode      []Role
	ToolVersion string // of the AIConfigurator that enumerated them
}

// Label is AIConfigurator's short name of a parallelism: tp8, tp1-dp8-moeep8.
func (p Parallelism) Label() string {
	var b strings.Builder
	b.WriteString("tp" + strconv.Itoa(p.TP))
	for _, d := range []struct {
		name string
		n    int
	}{{"-pp", p.PP}, {"-dp", p.DP}, {"-moetp", p.MoETP}, {"-moeep", p.MoEEP}} {
		if d.n > 1 {
			b.WriteString(d.name + strconv.Itoa(d.n))
		}
	}
	return b.String()
}
