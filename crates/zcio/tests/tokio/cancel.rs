//! Stopped: by dropping the future, which closes and forgets, or by its `stop`, which tells what was done.

use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use zcio::{Bridge, Cause, Endpoint, Failure, Request, Transfer, sys};

use crate::common::{
    assert_same, bytes, descriptors, eventually, file, file_elsewhere, in_child, receive, send,
};
use crate::{background, ends, runtime, runtimes, socket};

const MIB: usize = 1 << 20;

#[test]
fn a_future_that_is_dropped_leaves_no_descriptor_behind() {
    in_child("cancel::a_future_that_is_dropped_leaves_no_descriptor_behind", || {
        for runtime in runtimes() {
            runtime.block_on(async {
                let ((a, left), (b, mut right)) = (socket(), socket());
                let before = descriptors();
                drop(zcio::tokio::bridge(&a, &b, None));
                assert_eq!(descriptors(), before, "before its first turn");

                // It waits for both, one direction with a full pipe in its hands.
                let sending = send(left.try_clone().unwrap(), bytes(4 * MIB));
                let bridge = zcio::tokio::bridge(&a, &b, Some(Duration::from_secs(9)));
                assert!(timeout(Duration::from_millis(200), bridge).await.is_err());
                drop((a, b));
                let mut received = Vec::new();
                right.read_to_end(&mut received).unwrap();
                assert_same(&received, &bytes(4 * MIB)[..received.len()]);
                drop(left);
                assert!(sending.join().is_err(), "its peer is gone");
                drop(right);
                assert_eq!(descriptors(), before - 4);
            });
        }
    });
}

/// The call goes on to its end; then all is closed.
#[test]
fn a_future_that_is_dropped_while_a_disk_works_closes_afterwards() {
    in_child("cancel::a_future_that_is_dropped_while_a_disk_works_closes_afterwards", || {
        let runtime = runtime();
        let (source, mut sink) = (file_elsewhere(&bytes(64 * MIB)), file(b""));
        let before = descriptors();
        runtime.block_on(async {
            let copy = zcio::tokio::transfer(&source, &sink);
            assert!(timeout(Duration::from_millis(1), copy).await.is_err());
        });
        assert!(eventually(|| descriptors() == before));
        let copied = sys::stat(&sink).unwrap().size;
        assert!(copied <= 64 << 20);
        assert_eq!(sink.stream_position().unwrap(), copied);
    });
}

/// in = out + residual, and the rest is still in the source.
#[test]
fn what_a_stopped_relay_had_taken_is_the_residual() {
    let runtime = background();
    for point in [0, 1, 70_000, 400_000] {
        let ((source, peer), (sink, mut receiver)) = (socket(), socket());
        let writing = send(peer, bytes(4 * MIB));
        let mut rest_of_source = source.try_clone().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let relay = runtime.spawn(zcio::tokio::drive_until(relay(source, sink), stopped));
        let mut received = vec![0; point];
        receiver.read_exact(&mut received).unwrap();
        await_rest(&receiver);
        stop.send(()).unwrap();

        let Failure { cause, side, outcome } = runtime.block_on(ends(relay)).unwrap().unwrap_err();
        assert_eq!((cause, side), (Cause::Canceled, None));
        assert!(!outcome.residual.is_empty(), "the sink was full");
        receiver.read_to_end(&mut received).unwrap();
        assert_eq!(outcome.bytes, received.len() as u64);
        let mut rest = Vec::new();
        rest_of_source.set_nonblocking(false).unwrap();
        rest_of_source.read_to_end(&mut rest).unwrap();
        writing.join().unwrap();
        assert_same(&[received, outcome.residual, rest].concat(), &bytes(4 * MIB));
    }
}

fn relay(source: impl Into<OwnedFd>, sink: impl Into<OwnedFd>) -> Transfer<zcio::Linux<'static>> {
    let [source, sink] = [source.into(), sink.into()].map(|fd| Endpoint::of(fd).unwrap());
    Transfer::new(source, sink, Request::default()).unwrap()
}

/// Waits until something has come and no more does.
fn await_rest(socket: &UnixStream) {
    let (mut last, mut since) = (0, Instant::now());
    assert!(eventually(|| {
        let waiting = sys::buffered(socket).unwrap();
        if waiting != last {
            (last, since) = (waiting, Instant::now());
        }
        waiting > 0 && since.elapsed() > Duration::from_millis(100)
    }));
}

#[test]
fn a_stopped_bridge_says_what_either_direction_did() {
    let ((a, mut left), (b, mut right)) = (socket(), socket());
    let ends_of_bridge = [OwnedFd::from(a), OwnedFd::from(b)].map(|fd| Endpoint::of(fd).unwrap());
    let bridge = Bridge::between(ends_of_bridge, [b"head ".to_vec(), Vec::new()], None).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let runtime = background();
    let bridge = runtime.spawn(zcio::tokio::drive_until(bridge, stopped));
    left.write_all(b"and more").unwrap();
    right.read_exact(&mut [0; 13]).unwrap();
    drop(stop);
    let ending = runtime.block_on(ends(bridge)).unwrap();
    let (a_to_b, b_to_a) = (ending.a_to_b.unwrap_err(), ending.b_to_a.unwrap_err());
    assert_eq!((a_to_b.cause, a_to_b.outcome.bytes), (Cause::Canceled, 13));
    assert_eq!((b_to_a.cause, b_to_a.outcome.bytes), (Cause::Canceled, 0));
    assert_eq!(left.read(&mut [0]).unwrap(), 0, "its sockets are closed");
}

#[test]
fn nothing_moves_when_it_is_stopped_before_it_starts() {
    let (sink, mut peer) = socket();
    let mut source = file(&bytes(MIB));
    let upload = relay(sys::duplicate(&source).unwrap(), sink);
    let failure = runtime().block_on(zcio::tokio::drive_until(upload, async {})).unwrap_err();
    assert_eq!((failure.cause, failure.outcome.bytes), (Cause::Canceled, 0));
    assert_eq!(source.stream_position().unwrap(), 0);
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_stop_that_comes_too_late_changes_nothing() {
    let (sink, peer) = socket();
    let received = receive(peer);
    let (_stop, stopped) = oneshot::channel::<()>();
    let upload = relay(file(&bytes(MIB)), sink);
    let outcome = runtime().block_on(zcio::tokio::drive_until(upload, stopped)).unwrap();
    assert_eq!(outcome.bytes, MIB as u64);
    assert_same(&received.join().unwrap(), &bytes(MIB));
}

/// A copy between files is stopped between two calls.
#[test]
fn a_copy_between_files_is_stopped_and_counted() {
    let (source, sink) = (file_elsewhere(&bytes(128 * MIB)), file(b""));
    let copy = relay(source, sys::duplicate(&sink).unwrap());
    let ending =
        runtime().block_on(async { zcio::tokio::drive_until(copy, sleep(Duration::from_millis(1))).await });
    let failure = ending.expect_err("it takes longer than a millisecond");
    assert_eq!(failure.cause, Cause::Canceled);
    assert_eq!(sys::stat(&sink).unwrap().size, failure.outcome.bytes);
}
