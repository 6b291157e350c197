package thorough

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// ErrHeld is wrapped by the error of a Profile whose key another runner works on.
var ErrHeld = errors.New("another runner measures it")

// errLost is the cause of a context whose key was lost to another runner.
var errLost = errors.New("the lease of the key is lost: the API server did not answer in time, and another runner may work on it")

// hold takes the Lease of a key and returns a context that ends when it is lost, and
// what gives it back. A Lease that a dead runner left is taken when it did not change
// for its duration, by our clock; one that is renewed meanwhile is ErrHeld.
func (c *Cluster) hold(ctx context.Context, key profile.Key, identity string, duration time.Duration) (context.Context, func(), error) {
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: c.namespace, Name: "profile-" + keyLabel(key)},
		Client:     c.core.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
	}
	held, cancel := context.WithCancelCause(ctx)
	elect, end := context.WithCancel(context.WithoutCancel(ctx)) // it outlives ctx: cleaning up needs it
	acquired, over := make(chan struct{}), make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, Name: lock.LeaseMeta.Name, ReleaseOnCancel: true,
		LeaseDuration: duration, RenewDeadline: duration * 3 / 4, RetryPeriod: duration / 15,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { close(acquired) },
			OnStoppedLeading: func() { cancel(errLost) },
		},
	})
	if err != nil {
		end()
		return nil, nil, fmt.Errorf("holding Lease %s: %w", lock.LeaseMeta.Name, err)
	}
	go func() {
		defer close(over)
		elector.Run(elect)
	}()
	release := sync.OnceFunc(func() {
		cancel(nil)
		end()
		<-over
	})
	patience := time.NewTimer(duration + 2*duration/15)
	defer patience.Stop()
	select {
	case <-acquired:
		return held, release, nil
	case <-patience.C:
		err = fmt.Errorf("Lease %s/%s is held by %s: %w", c.namespace, lock.LeaseMeta.Name, elector.GetLeader(), ErrHeld)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	release()
	return nil, nil, err
}
