// Package facts holds what the programs of this folder share: where Weir is, and one line for each fact, `ok` or `FAIL`.
package facts

import (
	"fmt"
	"os"
	"strings"
)

// Text is sent to the echo and wanted back.
const Text = "naïve façade, 日本語, 🌊"

// Address is Weir's host and port.
var Address = os.Getenv("WEIR_ADDRESS")

// Key is a credential that may ask every model.
var Key = os.Getenv("WEIR_KEY")

// AdminKey is a credential that may read and change everything.
var AdminKey = os.Getenv("WEIR_ADMIN_KEY")

var failed bool

// Try runs a fact and says how that went.
func Try(text string, fact func() error) {
	if err := fact(); err != nil {
		failed = true
		fmt.Printf("FAIL %s: %s\n", text, strings.Join(strings.Fields(err.Error()), " "))
		return
	}
	fmt.Printf("ok %s\n", text)
}

// Close ends the process, with 1 when a fact has failed.
func Close() {
	if failed {
		os.Exit(1)
	}
}

// Same is an error unless both are equal.
func Same[T comparable](found, wanted T) error {
	if found == wanted {
		return nil
	}
	return fmt.Errorf("%v instead of %v", found, wanted)
}

// All is the first error among some checks.
func All(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
