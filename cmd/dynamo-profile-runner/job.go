package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

type jobOptions struct {
	image, namespace, serviceAccount string
}

func newJobCommand() *cobra.Command {
	var o jobOptions
	cmd := &cobra.Command{
		Use:   "job PATH... --image IMAGE [-- RUN FLAGS]",
		Short: "Print a Kubernetes Job that answers each request",
		Long: `job prints, for each DGDR below the paths, a Job that runs dynamo-profile-runner run
on it, shaped by spec.overrides.profilingJob as Dynamo's operator shapes its own
profiling Job: the same fields are taken, the same are passed over, with a warning.
The one difference is the image, which is that of --image: the override names Dynamo's.

What follows -- goes to run. Candidates of a thorough request belong to the Job where
it runs in their namespace, and go with it. The name follows from the request and the
Job's content: the same request gives the same Job.`,
		Example: `  # measure tonight, with the node selection and tolerations of the DGDR
  dynamo-profile-runner job apps/llama-70b --namespace dynamo-profile-runner \
    --image ghcr.io/dynamo-cmp/dynamo-profile-runner:v0.1.0 \
    -- --repo https://git.example.com/inference/gitops-repo.git --push-branch dynamo-profiles | kubectl create -f -`,
		Args: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); len(args) == 0 || dash == 0 {
				return &usageError{errors.New("job needs a path; for example: dynamo-profile-runner job apps/llama-70b --image IMAGE")}
			}
			if o.image == "" {
				return &usageError{errors.New("job needs the runner's image: --image IMAGE")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var forRun []string
			if dash := cmd.ArgsLenAtDash(); dash > 0 {
				args, forRun = args[:dash], args[dash:]
			}
			jobs, err := findJobs(cmd.Context(), args)
			if err != nil {
				return err
			}
			return printJobs(cmd.OutOrStdout(), progressOf(cmd), jobs, o, forRun)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.image, "image", "", "of the runner; pin it by digest")
	flags.StringVar(&o.namespace, "namespace", "", "of the Job, and of the candidates of a thorough request")
	flags.StringVar(&o.serviceAccount, "service-account", "dynamo-profile-runner", "that the Job runs as, unless the override names one")
	return cmd
}

func printJobs(stdout io.Writer, progress *progress, jobs []job, o jobOptions, forRun []string) error {
	var out bytes.Buffer
	var errs []error
	for _, j := range jobs {
		if j.problem != nil {
			errs = append(errs, j.problem)
			continue
		}
		made, ignored, err := o.job(j, forRun)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, field := range ignored {
			progress.warn(requestOf(j), fmt.Sprintf("%s: spec.overrides.profilingJob.%s: does not shape the Job", j.req.File, field))
		}
		data, err := manifest(made)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out.WriteString("---\n")
		out.Write(data)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_, err := stdout.Write(out.Bytes())
	return err
}

// job is the Job of a request, and the fields of its override that were passed over.
func (o jobOptions) job(j job, forRun []string) (*batchv1.Job, []string, error) {
	made := o.base(j, forRun)
	override, err := parseJobOverride(j.req.Spec.Overrides.ProfilingJob)
	if err != nil {
		return nil, nil, fmt.Errorf("%s:%d: request %q: spec.overrides.profilingJob: %w", j.req.File, j.req.Line, j.req.Name, err)
	}
	ignored, err := override.shape(&made.Spec)
	if err != nil {
		return nil, nil, err
	}
	if made.Name, err = jobName(j, made); err != nil {
		return nil, nil, err
	}
	return made, ignored, nil
}

// base is the Job without the override: what the CronJobs of the example have.
func (o jobOptions) base(j job, forRun []string) *batchv1.Job {
	labels := map[string]string{"app.kubernetes.io/name": "dynamo-profile-runner"}
	const tmp = "tmp"
	target := j.req.File
	if path.Dir(target) != j.rel {
		target = j.rel // a kustomization builds it from another directory
	}
	return &batchv1.Job{
		TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{Namespace: o.namespace, Labels: labels, Annotations: map[string]string{
			"dynamo-cmp.github.io/request": j.req.Name, "dynamo-cmp.github.io/key": string(j.key)}},
		Spec: batchv1.JobSpec{
			BackoffLimit: new(int32(0)),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: maps.Clone(labels)},
				Spec: corev1.PodSpec{
					ServiceAccountName:            o.serviceAccount,
					RestartPolicy:                 corev1.RestartPolicyNever,
					TerminationGracePeriodSeconds: new(int64(90)),
					SecurityContext: &corev1.PodSecurityContext{RunAsUser: new(int64(999)), RunAsGroup: new(int64(999)), RunAsNonRoot: new(true),
						FSGroup: new(int64(999)), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
					Containers: []corev1.Container{{
						Name:  profilerContainer,
						Image: o.image,
						Args:  append([]string{"run", target, "--" + logFormat + "=json"}, forRun...),
						Env:   []corev1.EnvVar{fromLabel(jobNameVariable, batchv1.JobNameLabel), fromLabel(jobUIDVariable, batchv1.ControllerUidLabel)},
						SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
							Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
						Resources: corev1.ResourceRequirements{
							Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("4Gi")},
							Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("8Gi")},
						},
						VolumeMounts: []corev1.VolumeMount{{Name: tmp, MountPath: "/tmp"}},
					}},
					Volumes: []corev1.Volume{{Name: tmp, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
				},
			},
		},
	}
}

// fromLabel is a variable with the value of the pod's label.
func fromLabel(name, label string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['" + label + "']"}}}
}

// jobName is profile-<request>, as Dynamo's operator has it, with a hash: a Job cannot
// be changed, so another content is another Job.
func jobName(j job, made *batchv1.Job) (string, error) {
	content, err := json.Marshal([]any{j.key, made.Spec})
	if err != nil {
		return "", fmt.Errorf("encoding the Job of request %q: %w", j.req.Name, err)
	}
	sum := sha256.Sum256(content)
	const longest = 63 // the name is a label of the pods
	hash := "-" + hex.EncodeToString(sum[:5])
	name := "profile-" + strings.ReplaceAll(j.req.Name, ".", "-")
	return strings.TrimRight(name[:min(len(name), longest-len(hash))], "-") + hash, nil
}

// manifest is the Job as YAML, without the status and times that its type has.
func manifest(made *batchv1.Job) ([]byte, error) {
	data, err := json.Marshal(made)
	if err != nil {
		return nil, fmt.Errorf("encoding Job %s: %w", made.Name, err)
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, fmt.Errorf("encoding Job %s: %w", made.Name, err)
	}
	delete(object, "status")
	return yaml.Marshal(object)
}

// profilerContainer is the name by which an override finds the container.
const profilerContainer = "profiler"

// leaves are the paths of what is set in a value, sorted.
func leaves(value any) ([]string, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		return nil, err
	}
	var paths []string
	var walk func(at string, node any)
	walk = func(at string, node any) {
		switch v := node.(type) {
		case map[string]any:
			for name, child := range v {
				walk(strings.TrimPrefix(at+"."+name, "."), child)
			}
		case []any:
			for i, child := range v {
				walk(fmt.Sprintf("%s[%d]", at, i), child)
			}
		case nil:
		case string:
			if v != "" {
				paths = append(paths, at)
			}
		default:
			paths = append(paths, at)
		}
	}
	walk("", tree)
	slices.Sort(paths)
	return paths, nil
}
