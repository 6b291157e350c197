package rapid

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// ImportDeployment makes a result of what Dynamo's profiler left for a request: the
// ConfigMap dgdr-output-NAME, or its final_config.yaml alone. It holds a deployment
// and no measurements: the topology, the parallelism and the flags of the engines are
// imported, and the planner's curves where the planner can use them. Predictions and
// alternatives are not there, so the SLA of the result is not verified.
//
// request is the name of the DGDR, which the ConfigMap has to be of.
func (p *Profiler) ImportDeployment(ctx context.Context, in profile.Inputs, modelDir, request string, data []byte) (res *profile.Result, files []profile.File, err error) {
	final, err := finalConfig(data, request)
	if err != nil {
		return nil, nil, err
	}
	d, err := readDeployment(final)
	if err != nil {
		return nil, nil, err
	}
	err = p.session(ctx, in, modelDir, func(_ context.Context, s *session) error {
		res, err = s.importDeployment(d)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return res, []profile.File{{Name: "final_config.yaml", MediaType: "application/yaml", Data: final}}, nil
}

// finalConfig is final_config.yaml of a ConfigMap (Dynamo: the profiling Job's
// output-copier), or data itself where it is none.
func finalConfig(data []byte, request string) ([]byte, error) {
	var cm struct {
		Kind     string
		Metadata struct {
			Name   string
			Labels map[string]string
		}
		Data map[string]string
	}
	// The first document; final_config.yaml itself may begin with a ConfigMap.
	if err := yaml.Unmarshal(data, &cm); err != nil {
		return nil, fmt.Errorf("is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if cm.Kind != "ConfigMap" || !strings.HasPrefix(cm.Metadata.Name, "dgdr-output-") {
		return data, nil
	}
	if status := cm.Data["profiler_status"]; status != "" && status != "success" {
		return nil, fmt.Errorf("ConfigMap %s: the profiler ended with status %s: %s", cm.Metadata.Name, status, cm.Data["profiler_error"])
	}
	if of := strings.TrimPrefix(cm.Metadata.Name, "dgdr-output-"); of != request {
		return nil, fmt.Errorf("ConfigMap %s is the output of request %q, not of %q", cm.Metadata.Name, of, request)
	}
	final, ok := cm.Data["final_config.yaml"]
	if !ok {
		return nil, fmt.Errorf("ConfigMap %s has no final_config.yaml: the profiler did not finish", cm.Metadata.Name)
	}
	return []byte(final), nil
}

// deployment is what of a final_config.yaml is imported.
type deployment struct {
	roles  []deployedRole
	curves map[string]string // file name -> JSON
}

// component is what is read of a component of a DynamoGraphDeployment v1beta1.
type component struct {
	Name      string
	Type      string
	Replicas  *int
	Multinode struct {
		NodeCount int `yaml:"nodeCount"`
	}
	PodTemplate struct {
		Spec struct {
			Containers []struct {
				Name      string
				Image     string
				Command   []string
				Args      []string
				Resources struct {
					Limits map[string]string
				}
			}
		}
	} `yaml:"podTemplate"`
}

func readDeployment(final []byte) (*deployment, error) {
	d := &deployment{}
	dec := yaml.NewDecoder(bytes.NewReader(final))
	found := false
	for {
		var doc struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string
			Data       map[string]string
			Spec       struct{ Components []component }
		}
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("final_config.yaml: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		}
		switch {
		case doc.Kind == "ConfigMap" && doc.Data["prefill_raw_data.json"] != "":
			d.curves = doc.Data
		case doc.Kind != "DynamoGraphDeployment":
		case doc.APIVersion != "nvidia.com/v1beta1":
			return nil, fmt.Errorf("final_config.yaml: holds a deployment %s; v1beta1 can be imported", doc.APIVersion)
		default:
			found = true
			for _, c := range doc.Spec.Components {
				if err := d.add(c); err != nil {
					return nil, fmt.Errorf("final_config.yaml: component %s: %w", c.Name, err)
				}
			}
		}
	}
	if !found {
		return nil, errors.New("final_config.yaml: holds no DynamoGraphDeployment: the profiler picked nothing, or ran dry")
	}
	order := []profile.RoleName{profile.RoleWorker, profile.RolePrefill, profile.RoleDecode}
	slices.SortStableFunc(d.roles, func(a, b deployedRole) int { return slices.Index(order, a.name) - slices.Index(order, b.name) })
	return d, nil
}

// add takes a component that runs an engine.
func (d *deployment) add(c component) error {
	name := profile.RoleName(c.Type)
	if !slices.Contains([]profile.RoleName{profile.RoleWorker, profile.RolePrefill, profile.RoleDecode}, name) {
		return nil
	}
	if len(c.PodTemplate.Spec.Containers) == 0 {
		return errors.New("has no container")
	}
	main := c.PodTemplate.Spec.Containers[0]
	r := deployedRole{name: name, replicas: 1, args: main.Args}
	module := ""
	for _, word := range slices.Concat(main.Command, main.Args) {
		if m, ok := strings.CutPrefix(word, "dynamo."); ok {
			module = m
			break
		}
	}
	r.backend = profile.Backend(module)
	if !slices.Contains(backendsOf(profile.BackendAuto), r.backend) {
		return fmt.Errorf("runs %q, which is no engine: a deployment of the mocker does not tell the engines that it stands for", module)
	}
	if c.Replicas != nil {
		r.replicas = *c.Replicas
	}
	r.gpus, _ = strconv.Atoi(main.Resources.Limits["nvidia.com/gpu"])
	r.gpus *= max(c.Multinode.NodeCount, 1)
	if i := strings.LastIndex(main.Image, ":"); i > strings.LastIndex(main.Image, "/") {
		r.version, _, _ = strings.Cut(main.Image[i+1:], "@")
	}
	d.roles = append(d.roles, r)
	return nil
}

func (s *session) importDeployment(d *deployment) (*profile.Result, error) {
	pick := profile.Pick{Mode: profile.Disaggregated, System: s.in.Hardware.System}
	version := "unknown"
	for _, r := range d.roles {
		if r.name == profile.RoleWorker {
			pick.Mode = profile.Aggregated
		}
		if pick.Backend = r.backend; s.in.Backend != profile.BackendAuto && r.backend != s.in.Backend {
			return nil, fmt.Errorf("its engines are %s, the request has spec.backend %s", r.backend, s.in.Backend)
		}
		if model := r.flag("--served-model-name"); model != s.in.Model {
			return nil, fmt.Errorf("it serves model %q, the request has spec.model %s", model, s.in.Model)
		}
		role, err := r.role(s.model.MoE)
		if err != nil {
			return nil, fmt.Errorf("role %s: %w", r.name, err)
		}
		if r.gpus > 0 && r.gpus != role.GPUsPerEngine {
			s.warn("the imported deployment asks for %d GPUs for each %s engine, whose flags use %d", r.gpus, r.name, role.GPUsPerEngine)
		}
		if r.version != "" {
			version = r.version
		}
		pick.Roles = append(pick.Roles, role)
		pick.TotalGPUs += role.Replicas * role.GPUsPerEngine
	}
	if needsRoles(s.in) && pick.Mode == profile.Aggregated {
		return nil, errors.New("it runs aggregated engines, the request needs prefill and decode")
	}
	if total := s.in.Hardware.TotalGPUs; pick.TotalGPUs > total {
		s.warn("the imported deployment takes %d GPUs, more than hardware.totalGpus %d", pick.TotalGPUs, total)
	}
	res := s.result(profile.Imported, pick)
	s.imported(res, profile.SourceDGDR, version, "taken over from the output of Dynamo's profiler, which holds no predictions")
	res.Provenance.Tool = "dynamo-profiler"
	if curves, err := readCurves(d.curves); err != nil {
		s.warn("the planner's curves are not imported: %s", err)
	} else {
		res.Curves = curves
	}
	res.Warnings = s.warnings
	return res, nil
}
