//! A guest of the runtime: it lets others have their turns, is Send, and survives its host.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use zcio::{Cause, Endpoint, Request, Transfer, sys};

use crate::common::{assert_same, bytes, descriptors, file, file_elsewhere, in_child, receive, send};
use crate::{runtime, runtimes, socket};

/// On one thread, which the transfer would have for itself if it did not give it up after every turn.
#[test]
fn a_fast_peer_does_not_keep_others_from_their_turns() {
    const LENGTH: usize = 64 << 20;
    let (sink, peer) = socket();
    let received = receive(peer);
    let (turns, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    runtime().block_on(async {
        let (count, stop) = (Arc::clone(&turns), Arc::clone(&over));
        let others = tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        zcio::tokio::transfer(&file_elsewhere(&bytes(LENGTH)), &sink).await.unwrap();
        over.store(true, Ordering::Relaxed);
        others.await.unwrap();
    });
    drop(sink);
    assert_same(&received.join().unwrap(), &bytes(LENGTH));
    let turns = turns.load(Ordering::Relaxed);
    assert!(turns >= LENGTH >> 20, "{turns} turns for others during 64 MiB");
}

/// With the last future go the pipes that were kept for the next.
#[test]
fn no_pipe_is_held_when_nothing_is_under_way() {
    in_child("runtime::no_pipe_is_held_when_nothing_is_under_way", || {
        for runtime in runtimes() {
            let before = descriptors();
            let ((source, peer), (sink, other)) = (socket(), socket());
            let (sending, received) = (send(peer, bytes(3_000_001)), receive(other));
            runtime.block_on(zcio::tokio::transfer(&source, &sink)).unwrap();
            drop((source, sink));
            sending.join().unwrap();
            assert_same(&received.join().unwrap(), &bytes(3_000_001));
            assert_eq!(descriptors(), before);
        }
    });
}

/// Two futures may wait with one and the same descriptor.
#[test]
fn a_descriptor_that_two_tasks_share_is_waited_for_by_both() {
    let ((a, left), (b, right)) = (socket(), socket());
    let [a, b] = [Arc::new(a.into()), Arc::new(b.into())];
    let between = |source: &Arc<_>, sink: &Arc<_>| {
        let [source, sink] = [source, sink].map(|fd| Endpoint::of(Arc::clone(fd)).unwrap());
        Transfer::new(source, sink, Request::default()).unwrap()
    };
    let [there, back] = [between(&a, &b), between(&b, &a)].map(zcio::tokio::drive);
    let (one, other) = (left.try_clone().unwrap(), right.try_clone().unwrap());
    runtime().block_on(async {
        let (there, back) = (tokio::spawn(there), tokio::spawn(back));
        // Both wait; then each has something to do.
        tokio::task::yield_now().await;
        let exchanges = [(left, one), (right, other)].map(|(peer, again)| {
            let mut reader = peer;
            std::thread::spawn(move || {
                let mut writer = again;
                writer.write_all(&bytes(300_000)).unwrap();
                let mut received = vec![0; 300_000];
                reader.read_exact(&mut received).unwrap();
                assert_same(&received, &bytes(300_000));
                writer.shutdown(std::net::Shutdown::Write).unwrap();
            })
        });
        assert_eq!(there.await.unwrap().unwrap().bytes, 300_000);
        assert_eq!(back.await.unwrap().unwrap().bytes, 300_000);
        for exchange in exchanges {
            exchange.join().unwrap();
        }
    });
}

/// Whoever holds a handle can still poll a future when the runtime has gone.
#[test]
fn a_runtime_that_was_shut_down_ends_them() {
    let runtime = runtime();
    let handle = runtime.handle().clone();
    runtime.shutdown_background();
    let copy = zcio::tokio::transfer(&file(&bytes(100_000)), &file(b""));
    assert_eq!(handle.block_on(copy).unwrap_err().cause, Cause::Canceled);

    let ((source, mut peer), (sink, _other)) = (socket(), socket());
    peer.write_all(b"some").unwrap();
    let failure = handle.block_on(zcio::tokio::transfer(&source, &sink)).unwrap_err();
    assert_eq!((failure.cause, failure.outcome.bytes), (Cause::Canceled, 4));
    assert_eq!(sys::buffered(&source).unwrap(), 0);
}
