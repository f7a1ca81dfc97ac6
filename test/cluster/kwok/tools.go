//go:build tools

// Package tools pins the programs that tests build from Go modules.
package tools

import _ "sigs.k8s.io/kwok/cmd/kwok"
