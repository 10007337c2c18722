package event

import (
	"testing"

	"github.com/cofferhq/coffer/internal/storage/storetest"
)

// What is stored is read for ever, and no bytes are read as what they are not.
func FuzzRecords(f *testing.F) {
	storetest.FuzzRecords(f, storetest.Records(form), storetest.Records(floorForm))
}
