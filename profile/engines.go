package profile

// Engines are the engines that a measuring search tries, in the order in which
// AIConfigurator enumerates them. Each is a role with one replica, whose
// BatchSize is the limit of running requests per attention data parallel rank.
type Engines struct {
	Model       Model
	Prefill     []Role
	Decode      []Role
	ToolVersion string // of the AIConfigurator that enumerated them
}
