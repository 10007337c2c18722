//go:build !unix

package dotenv

import "io/fs"

// keepOwner does nothing: a new file inherits from its folder.
func keepOwner(string, fs.FileInfo) error { return nil }
