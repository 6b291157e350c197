package main

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// apiTimeout bounds each request, so that a cluster which is gone does not hold a
// run whose results are stored.
const apiTimeout = 30 * time.Second

// quiet keeps client-go's own words from stderr: what matters is an error or progress of
// ours.
var quiet = sync.OnceFunc(func() { klog.SetLogger(logr.Discard()) })

// clusterConfig reaches the cluster of a kubeconfig and one of its contexts. Without
// them it is the one that KUBECONFIG, the usual file, or the pod's own service
// account names. namespace is the one that they name, or default.
func clusterConfig(kubeconfig, context string) (config *rest.Config, namespace string, err error) {
	quiet()
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: context})
	config, err = loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, "", &usageError{errors.New("this is no pod and there is no kubeconfig; to name one: KUBECONFIG=FILE")}
	}
	if err != nil {
		return nil, "", fmt.Errorf("finding a cluster: %w", err)
	}
	if namespace, _, err = loader.Namespace(); err != nil {
		return nil, "", fmt.Errorf("finding a namespace: %w", err)
	}
	config.Timeout = apiTimeout
	return config, namespace, nil
}
