package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
	"github.com/dynamo-cmp/dynamo-cmp/trust"
)

// keypair is a program that writes NAME.key and NAME.pub.
func keypair() {
	name := os.Args[1]
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(err)
	private, err := cryptoutils.MarshalPrivateKeyToPEM(key)
	fatal(err)
	public, err := cryptoutils.MarshalPublicKeyToPEM(key.Public())
	fatal(err)
	fatal(errors.Join(os.WriteFile(name+".key", private, 0o600), os.WriteFile(name+".pub", public, 0o600)))
}

// signLocked is a program that signs the results of the lock file, "sign KEY STORE
// LOCK [DAYS]", and with DAYS attests that they were made so many days ago.
func signLocked() {
	signer, err := trust.LoadSigner(os.Args[1], "")
	fatal(err)
	store, err := cache.Open(os.Args[2], cache.Options{})
	fatal(err)
	data, err := os.ReadFile(os.Args[3])
	fatal(err)
	lock, err := cache.ParseLock(os.Args[3], data)
	fatal(err)
	for _, e := range lock.Profiles {
		at, err := signer.Sign(e.Result)
		fatal(err)
		fatal(store.Attach(context.Background(), e.Result, at))
		if len(os.Args) < 5 {
			continue
		}
		age, err := time.ParseDuration(os.Args[4] + "h")
		fatal(err)
		at, err = signer.Attest(e.Result, trust.Provenance{RunDetails: trust.RunDetails{
			Metadata: trust.RunMetadata{FinishedOn: time.Now().Add(-24 * age).UTC()}}})
		fatal(err)
		fatal(store.Attach(context.Background(), e.Result, at))
	}
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
