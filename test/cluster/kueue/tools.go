//go:build tools

// Package kueue pins the Kueue that jobs stand in a queue of.
package kueue

import _ "sigs.k8s.io/kueue/cmd/kueue"
