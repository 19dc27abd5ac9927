//! Two sockets joined in both directions, by a future.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigHandler, Signal, signal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, JoinSet};
use zcio::sys::Errno;
use zcio::{BridgeEnding, Cause, Failure, Mechanism, Side};

use crate::common::{assert_idle, assert_same, bytes, exchange, file, fill, in_child};
use crate::{background, ends, runtime, runtimes, socket};

/// The two peers of a bridge.
struct Joined {
    left: UnixStream,
    right: UnixStream,
    bridge: JoinHandle<Result<BridgeEnding, Failure>>,
}

fn join(runtime: &Runtime, idle_timeout: Option<Duration>) -> Joined {
    let ((a, left), (b, right)) = (socket(), socket());
    Joined { left, right, bridge: runtime.spawn(zcio::tokio::bridge(&a, &b, idle_timeout)) }
}

#[test]
fn it_moves_both_ways_at_once_and_passes_on_each_end() {
    for runtime in runtimes() {
        let joined = join(&runtime, None);
        let (there, back) = (bytes(3_000_001), bytes(5_000_003));
        let (left, right) = (exchange(&joined.left, there.clone()), exchange(&joined.right, back.clone()));
        let ending = runtime.block_on(ends(joined.bridge)).unwrap().unwrap();
        assert_same(&right.join().unwrap(), &there);
        assert_same(&left.join().unwrap(), &back);
        let (a_to_b, b_to_a) = (ending.a_to_b.unwrap(), ending.b_to_a.unwrap());
        assert_eq!((a_to_b.bytes, b_to_a.bytes), (3_000_001, 5_000_003));
        assert_eq!((a_to_b.mechanism, b_to_a.mechanism), (Mechanism::Splice, Mechanism::Splice));
    }
}

#[test]
fn one_direction_goes_on_when_the_other_has_ended() {
    let runtime = background();
    let mut joined = join(&runtime, None);
    joined.left.write_all(b"question").unwrap();
    joined.left.shutdown(Shutdown::Write).unwrap();
    let mut question = String::new();
    joined.right.read_to_string(&mut question).unwrap();
    assert_eq!(question, "question");
    joined.right.write_all(b"answer").unwrap();
    joined.right.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    joined.left.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer");
    assert!(runtime.block_on(ends(joined.bridge)).unwrap().unwrap().failure().is_none());
}

#[test]
fn questions_and_answers_take_turns() {
    runtime().block_on(ends(async {
        let ((a, left), (b, right)) = (socket(), socket());
        let [mut left, mut right] = [left, right].map(|peer| {
            peer.set_nonblocking(true).unwrap();
            tokio::net::UnixStream::from_std(peer).unwrap()
        });
        let bridge = tokio::spawn(zcio::tokio::bridge(&a, &b, None));
        for round in 0..2000_u32 {
            left.write_u32(round).await.unwrap();
            assert_eq!(right.read_u32().await.unwrap(), round);
            right.write_u32(round + 1).await.unwrap();
            assert_eq!(left.read_u32().await.unwrap(), round + 1);
        }
        drop((left, right));
        assert_eq!(bridge.await.unwrap().unwrap().a_to_b.unwrap().bytes, 8000);
    }));
}

#[test]
fn a_fast_peer_waits_for_a_slow_one() {
    let runtime = background();
    let joined = join(&runtime, None);
    let mut left = joined.left;
    let content = bytes(16 << 20);
    let sent = content.clone();
    let flooding = thread::spawn(move || {
        left.write_all(&sent).unwrap();
        left.shutdown(Shutdown::Write).unwrap();
        left
    });
    let mut right = joined.right;
    let (mut received, mut buffer) = (Vec::new(), vec![0; 100_000]);
    while let count @ 1.. = right.read(&mut buffer).unwrap() {
        received.extend_from_slice(&buffer[..count]);
        thread::yield_now();
    }
    assert_same(&received, &content);
    drop((right, flooding.join().unwrap()));
    assert!(runtime.block_on(ends(joined.bridge)).unwrap().unwrap().failure().is_none());
}

/// Its end stays to be read, while it is waited for with what it has yet to take.
#[test]
fn a_peer_that_has_ended_and_does_not_read_is_waited_for_without_spinning() {
    in_child("bridge::a_peer_that_has_ended_and_does_not_read_is_waited_for_without_spinning", || {
        let runtime = background();
        let mut joined = join(&runtime, None);
        joined.left.shutdown(Shutdown::Write).unwrap();
        joined.right.set_nonblocking(true).unwrap();
        fill(&joined.right);
        assert_idle("a bridge with a peer that has ended and does not read");
        joined.right.shutdown(Shutdown::Write).unwrap();
        joined.left.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(runtime.block_on(ends(joined.bridge)).unwrap().unwrap().a_to_b.unwrap().bytes, 0);
    });
}

#[test]
fn many_at_once_keep_their_bytes_apart() {
    const BRIDGES: usize = 200;
    for runtime in runtimes() {
        runtime.block_on(ends(async {
            let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = echo.local_addr().unwrap();
            tokio::spawn(async move {
                while let Ok((mut socket, _)) = echo.accept().await {
                    tokio::spawn(async move {
                        let (mut reader, mut writer) = socket.split();
                        tokio::io::copy(&mut reader, &mut writer).await
                    });
                }
            });
            let mut clients = JoinSet::new();
            for number in 0..BRIDGES {
                clients.spawn(async move {
                    let server = TcpStream::connect(address).await.unwrap();
                    let (a, left) = socket();
                    left.set_nonblocking(true).unwrap();
                    let bridge = tokio::spawn(zcio::tokio::bridge(&a, &server, None));
                    drop((a, server));
                    let (mut reader, mut writer) =
                        tokio::net::UnixStream::from_std(left).unwrap().into_split();
                    let content = bytes(100_000 + number);
                    let sent = content.clone();
                    let sending = tokio::spawn(async move {
                        writer.write_all(&sent).await.unwrap();
                        writer.shutdown().await.unwrap();
                    });
                    let mut received = Vec::new();
                    reader.read_to_end(&mut received).await.unwrap();
                    sending.await.unwrap();
                    assert_same(&received, &content);
                    bridge.await.unwrap().unwrap().failure().is_none()
                });
            }
            assert_eq!(clients.join_all().await, [true; BRIDGES]);
        }));
    }
}

#[test]
fn one_that_is_idle_for_too_long_ends() {
    for runtime in runtimes() {
        let since = Instant::now();
        let joined = join(&runtime, Some(Duration::from_millis(300)));
        (&joined.left).write_all(b"sign of life").unwrap();
        let ending = runtime.block_on(ends(joined.bridge)).unwrap().unwrap();
        let failure = ending.a_to_b.unwrap_err();
        assert_eq!((failure.cause, ending.b_to_a.unwrap_err().cause), (Cause::TimedOut, Cause::TimedOut));
        assert_eq!(failure.outcome.bytes, 12);
        assert!(since.elapsed() >= Duration::from_millis(300));
    }
}

#[test]
fn one_that_is_busy_outlives_its_timeout() {
    let runtime = background();
    let mut joined = join(&runtime, Some(Duration::from_millis(200)));
    for _ in 0..10 {
        joined.left.write_all(b"x").unwrap();
        joined.right.read_exact(&mut [0]).unwrap();
        thread::sleep(Duration::from_millis(50));
    }
    drop((joined.left, joined.right));
    assert!(runtime.block_on(ends(joined.bridge)).unwrap().unwrap().failure().is_none());
}

/// Whatever the process does with SIGPIPE.
#[test]
fn one_whose_peer_is_gone_ends_both() {
    in_child("bridge::one_whose_peer_is_gone_ends_both", || {
        // SAFETY: no handler of ours is installed, the default action is restored.
        unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
        let runtime = background();
        let mut joined = join(&runtime, None);
        drop(joined.right);
        joined.left.write_all(&bytes(10_000)).unwrap();
        let ending = runtime.block_on(ends(joined.bridge)).unwrap().unwrap();
        let failure = ending.failure().unwrap();
        assert_eq!((failure.errno(), failure.side), (Errno::PIPE, Some(Side::Sink)));
        let mut rest = Vec::new();
        assert_eq!(joined.left.read_to_end(&mut rest).unwrap(), 0);
    });
}

#[test]
fn what_is_no_nonblocking_socket_is_refused() {
    let ((socket, _peer), (blocking, _other)) = (socket(), UnixStream::pair().unwrap());
    let runtime = runtime();
    let failure = runtime.block_on(zcio::tokio::bridge(&socket, &blocking, None)).unwrap_err();
    assert_eq!((failure.cause, failure.side), (Cause::Blocking, Some(Side::Sink)));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let failure = runtime.block_on(zcio::tokio::bridge(&listener, &socket, None)).unwrap_err();
    assert_eq!(failure.cause, Cause::Unsupported("a listening socket"));
    let failure = runtime.block_on(zcio::tokio::bridge(&socket, &file(b"some"), None)).unwrap_err();
    assert_eq!(failure.cause, Cause::Unsupported("a bridge joins stream sockets"));
    assert_eq!(failure.side, Some(Side::Sink));
}
