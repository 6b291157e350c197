// Command argocd-cmp-server is Argo CD's, built from its module: the server that
// runs the plugin in the sidecar of the repo-server.
package main

import (
	"os"

	"github.com/argoproj/argo-cd/v2/cmd/argocd-cmp-server/commands"
)

func main() {
	if err := commands.NewCommand().Execute(); err != nil {
		os.Exit(1)
	}
}
