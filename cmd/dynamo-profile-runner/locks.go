package main

import (
	"context"
	"sync"

	"github.com/dynamo-cmp/dynamo-cmp/cache"
)

// locks writes the locks of the directories. Every write reads and writes all of a
// lock, which may have a thousand entries, so entries that come during one go into the
// next together.
type locks struct {
	mu   sync.Mutex
	dirs map[string]*lockQueue
}

// lockQueue are the writes of one lock.
type lockQueue struct {
	writing sync.Mutex
	next    *lockWrite // guarded by locks.mu; nil while nothing waits
}

// lockWrite is one write of a lock. Its error is there when done is closed.
type lockWrite struct {
	entries []cache.LockEntry
	done    chan struct{}
	err     error
}

// pin returns when the lock of dir has the entry. Its errors are those of
// cache.UpdateLock.
func (l *locks) pin(ctx context.Context, dir string, entry cache.LockEntry) error {
	queue, write, first := l.join(dir, entry)
	if first {
		l.write(ctx, dir, queue)
	}
	<-write.done
	if write.err != nil && len(write.entries) > 1 {
		return cache.UpdateLock(ctx, dir, []cache.LockEntry{entry}) // another entry may be at fault
	}
	return write.err
}

// join adds the entry to the next write of dir, which the first of its entries makes.
func (l *locks) join(dir string, entry cache.LockEntry) (queue *lockQueue, write *lockWrite, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dirs == nil {
		l.dirs = map[string]*lockQueue{}
	}
	queue = l.dirs[dir]
	if queue == nil {
		queue = &lockQueue{}
		l.dirs[dir] = queue
	}
	if queue.next == nil {
		queue.next, first = &lockWrite{done: make(chan struct{})}, true
	}
	queue.next.entries = append(queue.next.entries, entry)
	return queue, queue.next, first
}

// write makes the next write when the one before it is done.
func (l *locks) write(ctx context.Context, dir string, queue *lockQueue) {
	queue.writing.Lock()
	defer queue.writing.Unlock()
	l.mu.Lock()
	write := queue.next
	queue.next = nil
	l.mu.Unlock()
	write.err = cache.UpdateLock(ctx, dir, write.entries)
	close(write.done)
}
