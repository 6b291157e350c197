// Command dynamo-cmp renders the DynamoGraphDeploymentRequests of a Git checkout
// into manifests, as an Argo CD config management plugin or by hand. It is a pure
// function of the checkout, the result digests and its flags: no cluster, no
// Python, no clock; its one reach outside is reading the store.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	_ "golang.org/x/crypto/x509roots/fallback" // the image has no certificates of authorities
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
