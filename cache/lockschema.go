package cache

import "github.com/dynamo-cmp/dynamo-cmp/profile"

// LockSchema is the JSON Schema of dynamo.lock.
func LockSchema() profile.Schema {
	const digest = "^sha256:[0-9a-f]{64}$"
	line := func(description string) profile.Schema {
		s := profile.Text(description, "^[^\\x00-\\x1f\\x7f]+$")
		s["maxLength"] = maxLine
		return s
	}
	entry := profile.Object(profile.Schema{
		"name":        line("Name of the DGDR"),
		"key":         profile.Text("Hash of the DGDR's inputs", digest),
		"result":      profile.Text("Digest of the result in the store", digest),
		"confidence":  profile.Words("How the result was obtained", profile.Confidences()...),
		"profiler":    line("Tool and version that made the result"),
		estimateField: profile.Schema{"const": true, "description": "The result is a simulated one until a measurement lands"},
		selectField:   profile.Schema{"type": "integer", "minimum": 1, "description": "Configuration of the result to render; 1 is its pick. Numbers: dynamo-cmp explain"},
	}, entryFields()...)
	return profile.NewSchema(lockKind, profile.Object(profile.Schema{
		"apiVersion": profile.Schema{"const": lockAPIVersion}, "kind": profile.Schema{"const": lockKind},
		"profiles": profile.List("An entry for each DGDR of the directory", entry),
	}, "apiVersion", "kind", "profiles"))
}
