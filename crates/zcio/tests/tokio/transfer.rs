//! From anything to anything, on either runtime; and what is refused before anything moves.

use std::fs::File;
use std::io::{Read, pipe};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use nix::sys::signal::{SigHandler, Signal, signal};
use tokio::net::{TcpListener, TcpStream};
use zcio::sys::Errno;
use zcio::{Cause, FanOutRequest, Mechanism, Request, Side};

use crate::common::ends::{Of, Sink, Source, nonblocking};
use crate::common::{assert_same, bytes, content, file, file_elsewhere, in_child, receive, send};
use crate::{background, ends, runtime, runtimes, socket};

#[test]
fn every_pair_arrives_whole_on_either_runtime() {
    for runtime in runtimes() {
        for (from, to) in Of::ALL.into_iter().flat_map(|from| Of::ALL.map(|to| (from, to))) {
            let (source, sink) = (Source::new(from, bytes(3_000_001)), Sink::new(to));
            nonblocking(&source);
            nonblocking(&sink);
            let outcome = runtime.block_on(ends(zcio::tokio::transfer(&source, &sink))).unwrap();
            assert_eq!((outcome.bytes, outcome.residual.len()), (3_000_001, 0), "{from:?} to {to:?}");
            source.end();
            assert_same(&sink.end(), &bytes(3_000_001));
        }
    }
}

#[test]
fn it_goes_by_the_means_that_the_route_names() {
    let (socket, peer) = socket();
    let received = receive(peer);
    let outcome = runtime().block_on(zcio::tokio::transfer(&file(&bytes(100_000)), &socket)).unwrap();
    assert_eq!(outcome.mechanism, Mechanism::Sendfile);
    drop(socket);
    assert_same(&received.join().unwrap(), &bytes(100_000));
}

#[test]
fn the_sockets_of_tokio_are_ends_as_they_are() {
    runtime().block_on(ends(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        // It borrows nothing: it is spawned and outlives what it was made from.
        let sending = tokio::spawn(zcio::tokio::transfer(&file(&bytes(5_000_003)), &client));
        drop(client);
        let sink = file(b"");
        let outcome = zcio::tokio::transfer(&server, &sink).await.unwrap();
        assert_eq!((outcome.bytes, outcome.mechanism), (5_000_003, Mechanism::Splice));
        assert_eq!(sending.await.unwrap().unwrap().bytes, 5_000_003);
        assert_same(&content(&sink), &bytes(5_000_003));
    }));
}

#[test]
fn a_request_is_obeyed() {
    let (socket, peer) = socket();
    let received = receive(peer);
    let source = file(&bytes(100_000));
    let request = Request { start: Some(10), length: Some(50_000), snapshot: true, ..Request::default() };
    let outcome = runtime().block_on(zcio::tokio::transfer_with(&source, &socket, request)).unwrap();
    assert_eq!((outcome.bytes, outcome.mechanism), (50_000, Mechanism::ReadWrite));
    drop(socket);
    assert_same(&received.join().unwrap(), &bytes(100_000)[10..50_010]);
}

#[test]
fn what_would_hold_up_the_executor_is_refused() {
    let (socket, _peer) = socket();
    let (blocking, mut peer) = UnixStream::pair().unwrap();
    let (reader, _writer) = pipe().unwrap();
    let runtime = runtime();
    for (ending, side) in [
        (runtime.block_on(zcio::tokio::transfer(&reader, &socket)), Side::Source),
        (runtime.block_on(zcio::tokio::transfer(&file(b"some"), &blocking)), Side::Sink),
        (runtime.block_on(zcio::tokio::transfer(&blocking, &socket)), Side::Source),
    ] {
        let failure = ending.unwrap_err();
        assert_eq!((failure.cause, failure.side), (Cause::Blocking, Some(side)));
        assert_eq!(failure.outcome.bytes, 0);
    }
    let copied = Request { asynchronous: true, ..Request::default() };
    let outcome = runtime.block_on(zcio::tokio::transfer_with(&file(b"some"), &blocking, copied)).unwrap();
    assert_eq!((outcome.bytes, outcome.mechanism), (4, Mechanism::ReadWrite));
    drop(blocking);
    let mut received = String::new();
    peer.read_to_string(&mut received).unwrap();
    assert_eq!(received, "some");
}

#[test]
fn what_could_only_fail_is_refused() {
    let (socket, _peer) = socket();
    let folder = File::open("/").unwrap();
    let failure = runtime().block_on(zcio::tokio::transfer(&folder, &socket)).unwrap_err();
    assert_eq!(failure.cause, Cause::System { errno: Errno::ISDIR, call: "read" });
    assert_eq!(failure.side, Some(Side::Source));

    let unwritable = File::open("/proc/version").unwrap();
    let failure = runtime().block_on(zcio::tokio::transfer(&file(b"some"), &unwritable)).unwrap_err();
    assert_eq!((failure.errno(), failure.side), (Errno::BADF, Some(Side::Sink)));
}

/// What epoll refuses is never waited for.
#[test]
fn files_of_proc_and_devices_are_ready_whenever_asked() {
    let runtime = runtime();
    let sink = file(b"");
    let outcome =
        runtime.block_on(zcio::tokio::transfer(&File::open("/proc/version").unwrap(), &sink)).unwrap();
    assert_same(&content(&sink), &std::fs::read("/proc/version").unwrap());
    assert_eq!(outcome.bytes, std::fs::read("/proc/version").unwrap().len() as u64);

    let null = File::options().write(true).open("/dev/null").unwrap();
    nonblocking(&null);
    let outcome = runtime.block_on(zcio::tokio::transfer(&file_elsewhere(&bytes(3_000_001)), &null)).unwrap();
    assert_eq!(outcome.bytes, 3_000_001);
}

#[test]
fn one_source_goes_to_sinks_of_every_kind() {
    for runtime in runtimes() {
        for from in Of::ALL {
            let (source, sinks) = (Source::new(from, bytes(3_000_001)), Of::ALL.map(Sink::new));
            nonblocking(&source);
            sinks.iter().for_each(nonblocking);
            let borrowed = sinks.each_ref().map(|sink| sink as &(dyn AsFd + Sync));
            let fan_out = zcio::tokio::fan_out(&source, &borrowed, FanOutRequest::default());
            let ending = runtime.block_on(ends(fan_out)).unwrap();
            assert_eq!((ending.bytes, ending.failure), (3_000_001, None), "from {from:?}");
            source.end();
            for sink in sinks {
                assert_same(&sink.end(), &bytes(3_000_001));
            }
        }
    }
}

/// With the list of its sinks made in the call, so that it lives as long as the future that awaits it.
#[test]
fn a_fan_out_is_awaited_in_a_spawned_task() {
    let ((a, mut one), (b, mut other)) = (socket(), socket());
    let source = file(b"to both");
    background().block_on(ends(async {
        let spawned =
            tokio::spawn(
                async move { zcio::tokio::fan_out(&source, &[&a, &b], FanOutRequest::default()).await },
            );
        assert_eq!(spawned.await.unwrap().unwrap().bytes, 7);
    }));
    for peer in [&mut one, &mut other] {
        let mut received = String::new();
        peer.read_to_string(&mut received).unwrap();
        assert_eq!(received, "to both");
    }
}

/// Rust's runtime ignores SIGPIPE; a library's host may not.
#[test]
fn a_sink_that_is_gone_is_an_error_and_no_signal() {
    in_child("transfer::a_sink_that_is_gone_is_an_error_and_no_signal", || {
        // SAFETY: no handler of ours is installed, the default action is restored.
        unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
        for runtime in runtimes() {
            let (socket, peer) = socket();
            drop(peer);
            let failure =
                runtime.block_on(zcio::tokio::transfer(&file(&bytes(100_000)), &socket)).unwrap_err();
            assert_eq!(failure.cause, Cause::System { errno: Errno::PIPE, call: "sendfile" });

            let (reader, writer) = pipe().unwrap();
            nonblocking(&writer);
            drop(reader);
            let (source, peer) = crate::socket();
            let sending = send(peer, bytes(1000));
            let failure = runtime.block_on(ends(zcio::tokio::transfer(&source, &writer))).unwrap_err();
            assert_eq!(failure.cause, Cause::System { errno: Errno::PIPE, call: "splice" });
            sending.join().unwrap();
        }
    });
}

#[test]
fn a_reader_who_leaves_while_it_waits_ends_it() {
    let runtime = background();
    let (reader, writer) = zcio::sys::pipe().unwrap();
    let waiting = runtime.spawn(zcio::tokio::transfer(&file(&bytes(1 << 20)), &writer));
    let failure = runtime.block_on(ends(async {
        while zcio::sys::buffered(&reader).unwrap() < 65_536 {
            tokio::task::yield_now().await;
        }
        drop(reader);
        waiting.await.unwrap().unwrap_err()
    }));
    assert_eq!(failure.errno(), Errno::PIPE);
    assert_eq!((failure.side, failure.outcome.bytes), (Some(Side::Sink), 65_536));
}
