// Package held keeps a process of this machine that outlives the program which has started it: by a handle that is no other's,
// in a directory that tells the next program whose process it is, under a lock that ends with whoever holds it. Only Linux.
package held
