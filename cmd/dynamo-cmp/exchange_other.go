//go:build !linux

package main

import "errors"

// exchange is not to be had here: see replace.
func exchange(_, _ string) error {
	return errors.ErrUnsupported
}
