//! Many transfers at once: none disturbs another, and none is forgotten.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use zcio::sys;
use zcio::{Cause, Endpoint, Facts, Mechanism, Request, Transfer};

use crate::common::{assert_same, bytes, content, file, file_elsewhere, file_to_append, receive, send, tcp};
use crate::{socket, start, start_with, submit};

const MIB: usize = 1 << 20;

/// oven-sh/bun#7954, oven-sh/bun#3668: each body whole and in its own socket, to the last byte.
#[test]
fn fifty_files_go_to_fifty_sockets() {
    let length = |number: usize| number * 40_009 + 1;
    let under_way: Vec<_> = (0..50)
        .map(|number| {
            let (socket, peer) = socket();
            let whole = bytes(number * 1000 + length(number));
            let request = Request { start: Some(number as u64 * 1000), ..Request::default() };
            let started = start_with(&file(&whole), &socket, request).unwrap();
            (number, started, receive(peer))
        })
        .collect();
    for (number, started, received) in under_way {
        let outcome = started.end().unwrap();
        assert_eq!((outcome.mechanism, outcome.bytes), (Mechanism::Sendfile, length(number) as u64));
        let whole = bytes(number * 1000 + length(number));
        assert_same(&received.join().unwrap(), &whole[number * 1000..]);
    }
}

/// netty/netty#2823: a turn that ends before the socket is full gets another one without an edge.
#[test]
fn a_long_file_takes_many_turns() {
    for source in [file(&bytes(24 * MIB)), file_elsewhere(&bytes(24 * MIB))] {
        let (sink, peer) = tcp();
        sink.set_nonblocking(true).unwrap();
        let received = receive(peer);
        let outcome = start(&source, &sink).end().unwrap();
        drop(sink);
        assert_eq!(outcome.bytes, 24 * MIB as u64);
        assert_same(&received.join().unwrap(), &bytes(24 * MIB));
    }
}

#[test]
fn files_are_copied_by_the_disk_pool() {
    let started: Vec<_> = (1..12)
        .map(|number| {
            let length = number * MIB / 2 + number;
            let sink = if number % 3 == 0 { file_to_append() } else { file(b"") };
            (length, start(&file(&bytes(length)), &sink), sink)
        })
        .collect();
    for (length, started, sink) in started {
        assert_eq!(started.end().unwrap().bytes, length as u64);
        assert_same(&content(&sink), &bytes(length));
    }
}

/// Between event loop and disk pool, over and over: the socket is waited for here, the file is written there.
#[test]
fn a_socket_is_saved_to_a_file() {
    let (source, mut peer) = socket();
    let sink = file(b"");
    let started = start(&source, &sink);
    for chunk in bytes(MIB).chunks(50_000) {
        peer.write_all(chunk).unwrap();
        thread::yield_now();
    }
    assert!(started.is_under_way(), "the peer has not ended");
    drop(peer);
    let outcome = started.end().unwrap();
    assert_eq!(outcome.bytes, MIB as u64);
    assert_same(&content(&sink), &bytes(MIB));
}

/// Whatever happens while the job is with the disk pool, or on its way from there: it is seen.
#[test]
fn no_byte_is_overlooked_between_event_loop_and_disk_pool() {
    let (source, mut peer) = socket();
    let sink = file(b"");
    let started = start(&source, &sink);
    for number in 1..=2000_u16 {
        peer.write_all(&[number.to_le_bytes()[0]]).unwrap();
        // Each byte is waited for, half of the time after a pause that lets the job settle.
        let since = Instant::now();
        while number % 2 == 0 && started.ticket.bytes() < u64::from(number) {
            assert!(since.elapsed() < Duration::from_secs(10), "byte {number} is stuck");
            thread::yield_now();
        }
    }
    drop(peer);
    assert_eq!(started.end().unwrap().bytes, 2000);
    assert_same(&content(&sink), &(1..=2000_u16).map(|number| number.to_le_bytes()[0]).collect::<Vec<_>>());
}

#[test]
fn sockets_and_pipes_are_relayed() {
    let (source, peer) = socket();
    let (reader, writer) = sys::pipe().unwrap();
    let (sink, receiver) = socket();
    let (first, second) = (start(&source, &writer), start(&reader, &sink));
    let (sender, received) = (send(peer, bytes(4 * MIB)), receive(receiver));
    assert_eq!(first.end().unwrap().bytes, 4 * MIB as u64);
    drop(writer);
    assert_eq!(second.end().unwrap().bytes, 4 * MIB as u64);
    drop(sink);
    assert_same(&received.join().unwrap(), &bytes(4 * MIB));
    sender.join().unwrap();
}

#[test]
fn both_directions_of_a_socket_are_independent() {
    let (both, mut peer) = tcp();
    both.set_nonblocking(true).unwrap();
    let sink = file(b"");
    let (out, back) = (start(&file(&bytes(4 * MIB)), &both), start(&both, &sink));
    // The peer echoes what comes.
    let echo = thread::spawn(move || {
        let (mut buffer, mut left) = (vec![0; 60_000], 4 * MIB);
        while left > 0 {
            let read = peer.read(&mut buffer).unwrap();
            peer.write_all(&buffer[..read]).unwrap();
            left -= read;
        }
    });
    assert_eq!(out.end().unwrap().bytes, 4 * MIB as u64);
    echo.join().unwrap();
    assert_eq!(back.end().unwrap().bytes, 4 * MIB as u64);
    assert_same(&content(&sink), &bytes(4 * MIB));
}

/// A socket may be source and sink of the same transfer: it echoes.
#[test]
fn a_socket_is_echoed_to_itself() {
    let (both, peer) = socket();
    let started = start(&both, &both);
    let received = receive(peer.try_clone().unwrap());
    (&peer).write_all(&bytes(MIB)).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(started.end().unwrap().bytes, MIB as u64);
    drop(both);
    assert_same(&received.join().unwrap(), &bytes(MIB));
}

#[test]
fn one_direction_carries_one_transfer_at_a_time() {
    let (sink, peer) = socket();
    let first = start(&file(&bytes(4 * MIB)), &sink);
    let refused = start_with(&file(b"torn in between"), &sink, Request::default()).err().unwrap();
    assert_eq!((refused.cause, refused.outcome.bytes), (Cause::Busy, 0));
    // By another descriptor it is the same socket.
    let again = sink.try_clone().unwrap();
    assert_eq!(start_with(&file(b"some"), &again, Request::default()).err().unwrap().cause, Cause::Busy);
    let received = receive(peer);
    first.end().unwrap();

    // And when that is over, it is free.
    start(&file(b"behind it"), &again).end().unwrap();
    drop((sink, again));
    assert_same(&received.join().unwrap(), &[&bytes(4 * MIB)[..], b"behind it"].concat());
}

#[test]
fn one_end_of_a_pipe_carries_one_transfer_at_a_time() {
    let (reader, writer) = sys::pipe().unwrap();
    let (one, other) = (file(b""), file(b""));
    let first = start(&reader, &one);
    let refused = start_with(&reader, &other, Request::default()).err().unwrap();
    assert_eq!(refused.cause, Cause::Busy);
    let second = start(&file(b"the other end"), &writer);
    second.end().unwrap();
    drop(writer);
    assert_eq!(first.end().unwrap().bytes, 13);
    assert_eq!((&content(&one)[..], content(&other).len()), (&b"the other end"[..], 0));
}

/// With an explicit start nobody moves a position, so a file serves any number at once.
#[test]
fn files_are_never_busy() {
    let source = file(&bytes(MIB));
    let request = Request { start: Some(0), ..Request::default() };
    let started: Vec<_> = (0..8)
        .map(|_| {
            let (socket, peer) = socket();
            (start_with(&source, &socket, request).unwrap(), receive(peer))
        })
        .collect();
    for (started, received) in started {
        started.end().unwrap();
        assert_same(&received.join().unwrap(), &bytes(MIB));
    }
}

/// As a bridge holds them: one duplicate of each socket for both directions, each of which waits for both.
#[test]
fn two_directions_may_share_their_descriptors() {
    let ((one, peer), (other, other_peer)) = (socket(), socket());
    let (one, other) = (Arc::new(OwnedFd::from(one)), Arc::new(OwnedFd::from(other)));
    let end = |fd: &Arc<OwnedFd>| Endpoint::new(Arc::clone(fd), Facts::of(fd).unwrap());
    let request = Request { asynchronous: true, ..Request::default() };
    let direction = |source, sink| submit(Transfer::new(end(source), end(sink), request).unwrap()).unwrap();
    let (there, back) = (direction(&one, &other), direction(&other, &one));
    drop((one, other));

    let writers = [send_and_end(&peer), send_and_end(&other_peer)];
    // Both get stuck before anybody reads.
    assert!(there.is_under_way() && back.is_under_way());
    for received in [receive(peer), receive(other_peer)] {
        assert_same(&received.join().unwrap(), &bytes(4 * MIB));
    }
    assert_eq!((there.end().unwrap().bytes, back.end().unwrap().bytes), (4 * MIB as u64, 4 * MIB as u64));
    for writer in writers {
        writer.join().unwrap();
    }
}

fn send_and_end(socket: &UnixStream) -> JoinHandle<()> {
    let mut socket = socket.try_clone().unwrap();
    thread::spawn(move || {
        socket.write_all(&bytes(4 * MIB)).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
    })
}
