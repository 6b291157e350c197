package thorough

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// servingPatience is how long a frontend may take to list a model whose pods are
// all ready; a worker registers within seconds.
const servingPatience = 3 * time.Minute

// frontend is where a candidate is served.
type frontend struct {
	url   string
	model string
}

// frontendOf finds the Service that Dynamo's operator makes for a DGD's frontend.
func (c *Cluster) frontendOf(ctx context.Context, dgd, served string) (*frontend, error) {
	name := dgd + "-frontend"
	var service *corev1.Service
	err := persist(ctx, func(ctx context.Context) (err error) {
		service, err = c.core.CoreV1().Services(c.namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("finding Service %s: %w", name, err)
	}
	host, port := service.Spec.ClusterIP, int32(8000)
	if host == "" || host == corev1.ClusterIPNone {
		host = fmt.Sprintf("%s.%s.svc", name, c.namespace)
	}
	if len(service.Spec.Ports) > 0 {
		port = service.Spec.Ports[0].Port
	}
	return &frontend{url: "http://" + net.JoinHostPort(host, strconv.Itoa(int(port))), model: served}, nil
}

// serves returns when the model is listed and answers. The error is a Failure where
// it does not in time.
func (f *frontend) serves(ctx context.Context) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, time.Second, servingPatience, true, func(ctx context.Context) (bool, error) {
		last = f.listed(ctx)
		if last == nil {
			last = f.complete(ctx)
		}
		return last == nil, nil
	})
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return &Failure{Class: FailedServing, Message: fmt.Sprintf("its pods are ready, and %s later: %v", servingPatience, last)}
}

func (f *frontend) listed(ctx context.Context) error {
	data, err := f.request(ctx, http.MethodGet, "/v1/models", nil)
	if err != nil {
		return err
	}
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return fmt.Errorf("GET /v1/models: %w", err)
	}
	for _, m := range list.Data {
		if m.ID == f.model {
			return nil
		}
	}
	return fmt.Errorf("GET /v1/models does not list %s", f.model)
}

func (f *frontend) complete(ctx context.Context) error {
	body, err := json.Marshal(map[string]any{
		"model": f.model, "max_tokens": 5, "messages": []map[string]string{{"role": "user", "content": "Hello"}}})
	if err != nil {
		return err
	}
	_, err = f.request(ctx, http.MethodPost, "/v1/chat/completions", body)
	return err
}

// kvTokens is how many tokens the KV cache of one attention data parallel rank holds,
// as the frontend's metrics say it; zero where they do not.
func (f *frontend) kvTokens(ctx context.Context) (int, error) {
	data, err := f.request(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return 0, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(data))
	if err != nil {
		return 0, fmt.Errorf("GET /metrics: %w", err)
	}
	blocks := f.gauge(families["dynamo_frontend_model_total_kv_blocks"])
	return int(blocks * f.gauge(families["dynamo_frontend_model_kv_cache_block_size"])), nil
}

// gauge is the value of a metric of the model, zero where it is absent.
func (f *frontend) gauge(family *dto.MetricFamily) float64 {
	for _, metric := range family.GetMetric() {
		for _, label := range metric.GetLabel() {
			if label.GetName() == "model" && label.GetValue() == f.model {
				return metric.GetGauge().GetValue()
			}
		}
	}
	return 0
}

// request returns the body of an answer of success.
func (f *frontend) request(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, f.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %s: %.200s", method, path, resp.Status, data)
	}
	return data, nil
}
