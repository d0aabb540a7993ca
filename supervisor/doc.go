// Package supervisor holds the tree and the embedding API.
package supervisor
