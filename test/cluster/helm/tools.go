//go:build tools

// Package tools pins the programs that tests build from Go modules.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
