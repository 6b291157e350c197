// Command dynamo-profile-runner answers DynamoGraphDeploymentRequests: it
// profiles each once, keeps the answer in a store and pins its digest in the
// dynamo.lock beside the request.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
