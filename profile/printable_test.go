package profile

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What json leaves as it is and a terminal obeys is spelled out, and stays JSON.
func TestPrintableIsJSON(t *testing.T) {
	const name = "a\x7fb\u009b31m\tc\n\x1b\u00e9"
	data, err := json.Marshal(name)
	require.NoError(t, err)
	var out strings.Builder
	_, err = Printable(&out).Write(data)
	require.NoError(t, err)
	require.Contains(t, out.String(), `a\u007fb\u009b31m`)
	var read string
	require.NoError(t, json.Unmarshal([]byte(out.String()), &read))
	require.Equal(t, name, read)
}
