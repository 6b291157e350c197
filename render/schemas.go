package render

import (
	"github.com/dynamo-cmp/dynamo-cmp/planner"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// RequestSchema is the JSON Schema of a DGDR, its planner's configuration included.
func RequestSchema() profile.Schema { return profile.RequestSchema(planner.JSONSchema()) }

// ConfigSchema is the JSON Schema of a DynamoCMPConfig.
func ConfigSchema() profile.Schema { return profile.ConfigSchema(DynamoVersions()) }
