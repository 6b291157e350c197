package main

import (
	"encoding/json"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newParametersCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "parameters",
		Short: "Print the parameters that an Application may set",
		Long: `parameters prints, as JSON, the parameters that an Application may set in
spec.source.plugin.parameters, for the form in Argo CD's UI: it is the command of
spec.parameters.dynamic in plugin.yaml. It reads nothing.`,
		Example: `  # what the running version knows, beside what a plugin.yaml announces
  dynamo-cmp parameters`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, err := json.MarshalIndent(announcements(), "", "  ")
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(append(out, '\n'))
			return err
		},
	}
}

// announcement is how Argo CD is told of a parameter
// (ParameterAnnouncement in reposerver/repository/repository.proto). It never
// sends the defaults that are announced.
type announcement struct {
	Name           string   `json:"name"`
	Title          string   `json:"title"`
	Tooltip        string   `json:"tooltip"`
	ItemType       string   `json:"itemType,omitempty"`
	CollectionType string   `json:"collectionType"`
	String         string   `json:"string,omitempty"`
	Array          []string `json:"array,omitempty"`
}

func announcements() []announcement {
	var out []announcement
	for _, s := range settings() {
		if s.narrow == nil {
			continue
		}
		a := announcement{Name: s.name, Title: s.title, Tooltip: s.help, CollectionType: "string"}
		flag := s.flag()
		switch {
		case s.list():
			a.CollectionType = "array"
		case flag.Value.Type() == "bool":
			a.ItemType, a.String = "boolean", flag.DefValue
		}
		out = append(out, a)
	}
	return out
}

// flag is the setting's flag, with its type and default.
func (s setting) flag() *pflag.Flag {
	flags := pflag.NewFlagSet(s.name, pflag.ContinueOnError)
	s.bind(flags, &options{}, s)
	return flags.Lookup(s.name)
}

// list is whether the setting takes several values.
func (s setting) list() bool {
	return s.flag().Value.Type() == "stringSlice"
}
