package trust

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
)

// Anybody who can push may attach anything: none of it is taken for a signature.
func FuzzAttachment(f *testing.F) {
	d := cache.Digest("sha256:353ae6e78ef6c32c637639025cc571882c5d210f597822d61dc5ccf851031321")
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{}},"dsseEnvelope":{"payload":"bnVsbA==","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AA=="}]}}`), "", true)
	f.Add([]byte(`{"critical":{"image":{"docker-manifest-digest":"`+string(d)+`"},"type":"cosign container image signature"}}`), "AA==", false)
	keys, err := LoadKeys([]string{"testdata/cosign.pub"})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, data []byte, signature string, bundle bool) {
		at := cache.Attachment{MediaType: simpleSigning, Data: data, Annotations: map[string]string{signatureAnnotation: signature}}
		if bundle {
			at.MediaType = bundleType
		}
		require.Equal(t, &Verdict{}, keys.judge(d, []cache.Attachment{at}))
	})
}
