package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What Argo CD hands a plugin: docs/operator-manual/config-management-plugins.md
// in its repository. All of it but the names of the variables comes from whoever
// may write an Application, or a .argocd-source.yaml in the repository.
const (
	argoName       = "ARGOCD_APP_NAME"
	argoPath       = "ARGOCD_APP_SOURCE_PATH"
	argoParameters = "ARGOCD_APP_PARAMETERS"
	argoEnv        = "ARGOCD_ENV_"
)

// underArgoCD is whether Argo CD runs this process for an Application.
func underArgoCD() bool {
	return os.Getenv(argoName) != ""
}

// applicationRoot is the root of what Argo CD sent, "" where it sent nothing. Argo CD
// runs the plugin in the directory of the Application, below a directory of its own
// that stands for the root of the repository, or for one further down where
// --plugin-use-manifest-generate-paths is set: so it is above those directories that
// end both the working directory and the path of the Application.
func applicationRoot(dir string) string {
	root, err := filepath.Abs(dir)
	if !underArgoCD() || err != nil {
		return ""
	}
	parts := strings.Split(strings.Trim(filepath.Clean("/"+os.Getenv(argoPath)), "/"), "/")
	for _, part := range slices.Backward(parts) {
		if filepath.Base(root) != part {
			break
		}
		root = filepath.Dir(root)
	}
	return root
}

// parameter is an entry of spec.source.plugin.parameters.
type parameter struct {
	Name   string             `json:"name"`
	String *string            `json:"string"`
	Array  *[]string          `json:"array"`
	Map    *map[string]string `json:"map"`
}

// demand is one thing that an Application asks for.
type demand struct {
	where  string // the field of the Application, for messages
	name   string
	values []string
}

// narrow makes the options stricter by what the Application says. Every demand
// that is unknown, forbidden or malformed is an error: one that was ignored would
// be a policy that its author believes in and nobody enforces.
func (o *options) narrow(environ []string) error {
	demands, errs := demandsOf(environ)
	for _, d := range demands {
		s := settingNamed(d.name)
		switch {
		case s == nil:
			errs = append(errs, refused(d.where, "is unknown; an Application may set %s", strings.Join(settable(), ", ")))
		case s.narrow == nil:
			errs = append(errs, refused(d.where, "is for the operator of the sidecar to set (%s); an Application may set %s", variable(s.name), strings.Join(settable(), ", ")))
		default:
			if err := s.narrow(o, d.values); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", d.where, err))
			}
		}
	}
	return errors.Join(errs...)
}

// demandsOf reads the environment of an Application's process.
func demandsOf(environ []string) (demands []demand, errs []error) {
	environ = slices.Sorted(slices.Values(environ))
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		switch own, ours := strings.CutPrefix(name, argoEnv+variable("")); {
		case name == argoParameters:
			ds, more := parametersOf(value)
			demands, errs = append(demands, ds...), append(errs, more...)
		case ours && value != "": // Argo CD before 3.0 leaves empty ones out
			flag := strings.ToLower(strings.ReplaceAll(own, "_", "-"))
			demands = append(demands, demand{fmt.Sprintf("plugin.env %q", variable(flag)), flag, strings.Split(value, ",")})
		}
	}
	return demands, errs
}

// parametersOf decodes ARGOCD_APP_PARAMETERS: a list, or null where the
// Application has no parameters.
func parametersOf(value string) (demands []demand, errs []error) {
	var params []parameter
	if value == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(value), &params); err != nil {
		return nil, []error{refused(argoParameters, "is not a list of parameters: %s", err)}
	}
	seen := map[string]bool{}
	for _, p := range params {
		where := fmt.Sprintf("plugin.parameters %q", p.Name)
		if seen[p.Name] {
			errs = append(errs, refused(where, "is given twice"))
			continue
		}
		seen[p.Name] = true
		d := demand{where: where, name: p.Name}
		if s := settingNamed(p.Name); s != nil && s.narrow != nil {
			var err error
			if d.values, err = p.values(s.list()); err != nil {
				errs = append(errs, refused(where, "%s", err))
				continue
			}
		}
		demands = append(demands, d)
	}
	return demands, errs
}

// values are those of a parameter of the wanted type.
func (p parameter) values(list bool) ([]string, error) {
	switch {
	case p.Map != nil || list && p.String != nil:
		return nil, errors.New("is a list: write it as array")
	case list && (p.Array == nil || len(*p.Array) == 0):
		return nil, errors.New("is an empty list; to set no limit, leave it out")
	case list:
		return *p.Array, nil
	case p.Array != nil || p.String == nil:
		return nil, errors.New("is a single value: write it as string")
	}
	return []string{*p.String}, nil
}

func refused(where, format string, args ...any) error {
	return &codedError{exitInput, fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...))}
}

// settingNamed is the setting of that name, nil where there is none.
func settingNamed(name string) *setting {
	for _, s := range settings() {
		if s.name == name {
			return &s
		}
	}
	return nil
}

// settable names what an Application may set.
func settable() []string {
	var names []string
	for _, s := range settings() {
		if s.narrow != nil {
			names = append(names, s.name)
		}
	}
	return names
}
