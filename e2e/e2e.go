// Package e2e drives dynamo-cmp through the real servers that run it. It is a
// module of its own: Argo CD's libraries live here and nowhere else.
package e2e
