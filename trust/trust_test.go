package trust_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/stretchr/testify/require"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/profile"
	"github.com/dynamo-cmp/dynamo-cmp/trust"
)

// pair writes a key pair and returns the paths of its halves.
func pair(t *testing.T, key crypto.Signer) (private, public string) {
	t.Helper()
	dir := t.TempDir()
	private, public = filepath.Join(dir, "cosign.key"), filepath.Join(dir, "cosign.pub")
	pem, err := cryptoutils.MarshalPrivateKeyToPEM(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(private, pem, 0o600))
	pem, err = cryptoutils.MarshalPublicKeyToPEM(key.Public())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(public, pem, 0o600))
	return private, public
}

func p256(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func load(t *testing.T, key crypto.Signer) (*trust.Signer, *trust.Keys) {
	t.Helper()
	private, public := pair(t, key)
	signer, err := trust.LoadSigner(private, "")
	require.NoError(t, err)
	keys, err := trust.LoadKeys([]string{public})
	require.NoError(t, err)
	return signer, keys
}

// stored is a store with a result in it, and the directory of the store.
func stored(t *testing.T) (*cache.Store, string, cache.Digest) {
	t.Helper()
	dir := t.TempDir()
	store, err := cache.Open("oci-layout:"+dir, cache.Options{LocalDir: t.TempDir()})
	require.NoError(t, err)
	d, err := store.Put(t.Context(), sample("1"), nil)
	require.NoError(t, err)
	return store, dir, d
}

func sample(version string) *profile.Result {
	return &profile.Result{
		Schema: profile.ResultSchema,
		Inputs: profile.Inputs{
			Schema: profile.InputsSchema, Model: "org/model", Backend: profile.BackendVLLM, Strategy: profile.StrategyRapid,
			Hardware: profile.InputHardware{System: "h200_sxm", TotalGPUs: 8, GPUsPerNode: 8},
			Workload: profile.InputWorkload{ISL: 4000, OSL: 500}, Picking: profile.PickDefault,
		},
		Confidence: profile.Simulated,
		Pick: profile.Pick{Mode: profile.Aggregated, Backend: profile.BackendVLLM, System: "h200_sxm", TotalGPUs: 1, Roles: []profile.Role{{
			Name: profile.RoleWorker, Replicas: 1, GPUsPerEngine: 1, Parallelism: profile.Parallelism{TP: 1, PP: 1, DP: 1, MoETP: 1, MoEEP: 1}}}},
		Provenance: profile.Provenance{Tool: "aiconfigurator", ToolVersion: version},
	}
}

func sign(t *testing.T, store *cache.Store, signer *trust.Signer, d cache.Digest) {
	t.Helper()
	at, err := signer.Sign(d)
	require.NoError(t, err)
	require.NoError(t, store.Attach(t.Context(), d, at))
}

func TestSignatureOfEveryKindOfKey(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	for name, key := range map[string]crypto.Signer{"ECDSA P-256": p256(t), "ECDSA P-384": p384, "RSA 2048": rsaKey, "Ed25519": edKey} {
		t.Run(name, func(t *testing.T) {
			store, _, d := stored(t)
			signer, keys := load(t, key)
			sign(t, store, signer, d)
			v, err := keys.Verify(t.Context(), store, d)
			require.NoError(t, err)
			require.Equal(t, keys.Files()[0], v.Key)
			require.Nil(t, v.Provenance)
		})
	}
}

func TestUnsignedNamesTheDigest(t *testing.T) {
	store, _, d := stored(t)
	_, keys := load(t, p256(t))
	_, err := keys.Verify(t.Context(), store, d)
	require.ErrorIs(t, err, trust.ErrUntrusted)
	require.EqualError(t, err, "result "+string(d)+" is not signed")
}

func TestOtherKeyNamesTheDigestAndTheKeys(t *testing.T) {
	store, _, d := stored(t)
	signer, _ := load(t, p256(t))
	sign(t, store, signer, d)
	_, keys := load(t, p256(t))
	_, err := keys.Verify(t.Context(), store, d)
	require.ErrorIs(t, err, trust.ErrUntrusted)
	require.EqualError(t, err, "result "+string(d)+" is signed by none of the trusted keys ("+keys.String()+")")
}

func TestOneOfSeveralKeysIsEnough(t *testing.T) {
	store, _, d := stored(t)
	other, _ := load(t, p256(t))
	private, public := pair(t, p256(t))
	signer, err := trust.LoadSigner(private, "")
	require.NoError(t, err)
	sign(t, store, other, d)
	sign(t, store, signer, d)
	_, third := pair(t, p256(t))
	keys, err := trust.LoadKeys([]string{third, public})
	require.NoError(t, err)
	v, err := keys.Verify(t.Context(), store, d)
	require.NoError(t, err)
	require.Equal(t, public, v.Key)
}

// A signature says which digest it is of: attached to another result it is none.
func TestSignatureOfAnotherResult(t *testing.T) {
	store, _, d := stored(t)
	signer, keys := load(t, p256(t))
	other, err := store.Put(t.Context(), sample("2"), nil)
	require.NoError(t, err)
	at, err := signer.Sign(other)
	require.NoError(t, err)
	require.NoError(t, store.Attach(t.Context(), d, at))
	_, err = keys.Verify(t.Context(), store, d)
	require.ErrorIs(t, err, trust.ErrUntrusted)
}

// An attestation says where a result comes from, not that it is good.
func TestAttestationIsNoSignature(t *testing.T) {
	store, _, d := stored(t)
	signer, keys := load(t, p256(t))
	attest(t, store, signer, d, time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC))
	_, err := keys.Verify(t.Context(), store, d)
	require.ErrorIs(t, err, trust.ErrUntrusted)
}

func TestLatestProvenanceOfATrustedKey(t *testing.T) {
	store, _, d := stored(t)
	signer, keys := load(t, p256(t))
	stranger, _ := load(t, p256(t))
	may := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	attest(t, store, signer, d, may)
	attest(t, store, signer, d, may.AddDate(0, -1, 0))
	attest(t, store, stranger, d, may.AddDate(1, 0, 0))
	sign(t, store, signer, d)
	v, err := keys.Verify(t.Context(), store, d)
	require.NoError(t, err)
	require.Equal(t, may, v.Provenance.RunDetails.Metadata.FinishedOn)
	require.Equal(t, "https://dynamo-cmp.github.io/profile/v1", v.Provenance.BuildDefinition.BuildType)
}

func attest(t *testing.T, store *cache.Store, signer *trust.Signer, d cache.Digest, finished time.Time) {
	t.Helper()
	at, err := signer.Attest(d, trust.Provenance{RunDetails: trust.RunDetails{Metadata: trust.RunMetadata{FinishedOn: finished}}})
	require.NoError(t, err)
	require.NoError(t, store.Attach(t.Context(), d, at))
}

func TestVerifiedOnceNeedsNoStore(t *testing.T) {
	store, dir, d := stored(t)
	signer, keys := load(t, p256(t))
	sign(t, store, signer, d)
	_, err := keys.Verify(t.Context(), store, d)
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(dir))
	_, err = keys.Verify(t.Context(), store, d)
	require.NoError(t, err)
	_, err = keys.VerifyStored(t.Context(), store, d)
	require.ErrorIs(t, err, trust.ErrUntrusted)
}

// A signature that came later is found although there are local copies of others.
func TestLaterSignatureIsFound(t *testing.T) {
	store, _, d := stored(t)
	old, _ := load(t, p256(t))
	sign(t, store, old, d)
	signer, keys := load(t, p256(t))
	_, err := keys.Verify(t.Context(), store, d)
	require.ErrorIs(t, err, trust.ErrUntrusted)
	sign(t, store, signer, d)
	_, err = keys.Verify(t.Context(), store, d)
	require.NoError(t, err)
}

func TestChangedSignature(t *testing.T) {
	store, dir, d := stored(t)
	signer, keys := load(t, p256(t))
	at, err := signer.Sign(d)
	require.NoError(t, err)
	require.NoError(t, store.Attach(t.Context(), d, at))
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	require.NoError(t, err)
	for _, b := range blobs {
		data, err := os.ReadFile(b)
		require.NoError(t, err)
		if string(data) == string(at.Data) {
			data[len(data)/2] ^= 1
			require.NoError(t, os.WriteFile(b, data, 0o600))
		}
	}
	_, err = keys.Verify(t.Context(), store, d)
	require.ErrorIs(t, err, cache.ErrTampered)
	require.ErrorContains(t, err, string(d))
}

func TestPutAttachedIsNeverSeenUnsigned(t *testing.T) {
	store, _, _ := stored(t)
	signer, keys := load(t, p256(t))
	d, err := store.PutAttached(t.Context(), sample("3"), nil, func(d cache.Digest) ([]cache.Attachment, error) {
		_, err := store.Get(context.Background(), d)
		require.ErrorIs(t, err, cache.ErrNotFound)
		at, err := signer.Sign(d)
		return []cache.Attachment{at}, err
	})
	require.NoError(t, err)
	_, err = store.Get(t.Context(), d)
	require.NoError(t, err)
	_, err = keys.Verify(t.Context(), store, d)
	require.NoError(t, err)
}

func TestEncryptedKeyNeedsItsPassword(t *testing.T) {
	private, _, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), cryptoutils.SkipPassword)
	require.NoError(t, err)
	key, err := cryptoutils.UnmarshalPEMToPrivateKey(private, cryptoutils.SkipPassword)
	require.NoError(t, err)
	der, err := cryptoutils.MarshalPrivateKeyToDER(key)
	require.NoError(t, err)
	sealed, err := encrypted.Encrypt(der, []byte("hunter2"))
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "cosign.key")
	require.NoError(t, os.WriteFile(file, cryptoutils.PEMEncode("ENCRYPTED SIGSTORE PRIVATE KEY", sealed), 0o600))
	_, err = trust.LoadSigner(file, "hunter2")
	require.NoError(t, err)
	_, err = trust.LoadSigner(file, "hunter3")
	require.EqualError(t, err, file+": cannot be decrypted; to give its password: COSIGN_PASSWORD")
}

func TestKeysOfADirectory(t *testing.T) {
	_, a := pair(t, p256(t))
	dir := filepath.Dir(a)
	require.NoError(t, os.Remove(filepath.Join(dir, "cosign.key")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "README"), []byte("no key"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "..data"), 0o700))
	keys, err := trust.LoadKeys([]string{dir})
	require.NoError(t, err)
	require.Equal(t, []string{a}, keys.Files())
}

func TestKeysThatAreNone(t *testing.T) {
	private, _ := pair(t, p256(t))
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	require.NoError(t, os.WriteFile(text, []byte("hello"), 0o600))
	for path, want := range map[string]string{
		dir:                          dir + ": holds no public key (*.pub, *.pem)",
		text:                         text + ": is no public key in PEM",
		private:                      private + ": is no public key in PEM",
		filepath.Join(dir, "absent"): "no such file or directory",
	} {
		_, err := trust.LoadKeys([]string{path})
		require.ErrorContains(t, err, want)
	}
	_, err := trust.LoadKeys(nil)
	require.EqualError(t, err, "no public key is named")
}
