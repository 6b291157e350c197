package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/render"
)

// schemas are the kinds of files that have a JSON Schema.
func schemas() []string { return []string{"dgdr", "lock", "hardware", "config", "policy", "result"} }

func newSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema KIND",
		Short: "Print the JSON Schema of a kind of file",
		Long: `schema prints the JSON Schema of a kind of file, for editors and for checks in CI:

  dgdr       DynamoGraphDeploymentRequest, with the planner's configuration
  lock       dynamo.lock
  hardware   hardware.yaml
  config     DynamoCMPConfig
  policy     policy file of verify
  result     profiling result, as stored

What the schema refuses, generate refuses too; lint finds what a schema cannot see.
docs/schemas says how an editor takes it.`,
		Example: `  # completion and checks in an editor with yaml-language-server
  dynamo-cmp schema dgdr > .dgdr.schema.json
  sed -i '1i # yaml-language-server: $schema=../../.dgdr.schema.json' apps/qwen/dgdr.yaml`,
		ValidArgs: schemas(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &codedError{exitInput, fmt.Errorf("schema takes one of %s", strings.Join(schemas(), ", "))}
			}
			out, err := schemaOf(args[0])
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(out)
			return err
		},
	}
}

func schemaOf(kind string) ([]byte, error) {
	var s profile.Schema
	switch kind {
	case "dgdr":
		s = render.RequestSchema()
	case "lock":
		s = cache.LockSchema()
	case "hardware":
		s = profile.HardwareSchema()
	case "config":
		s = render.ConfigSchema()
	case "policy":
		s = policySchema()
	case "result":
		return profile.ResultSchemaJSON(), nil
	default:
		return nil, &codedError{exitInput, fmt.Errorf("%q has no schema%s; there are %s", kind, profile.DidYouMean(kind, schemas()), strings.Join(schemas(), ", "))}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(s)
	return b.Bytes(), err
}

func policySchema() profile.Schema {
	some := func(description string, words profile.Schema) profile.Schema {
		s := profile.List(description, words)
		s["minItems"] = 1
		return s
	}
	return profile.NewSchema(policyKind, profile.Object(profile.Schema{
		"apiVersion":       profile.Schema{"const": "dynamo-cmp.github.io/v1"},
		"kind":             profile.Schema{"const": policyKind},
		"confidences":      some("Confidences that are allowed", profile.Words("", profile.Confidences()...)),
		"backends":         some("Backends that are allowed", profile.Words("", profile.BackendVLLM, profile.BackendSGLang, profile.BackendTRTLLM)),
		"requireSignature": profile.Bool("An audit without trusted keys is refused"),
		"maxAge":           profile.Text("Age by the latest attestation: days, as 90d, or a duration such as 36h", "^([1-9][0-9]{0,4}d|[0-9.hmsµun]+)$"),
	}, "apiVersion", "kind"))
}
