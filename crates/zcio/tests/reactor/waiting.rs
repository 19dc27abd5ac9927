//! A transfer that cannot go on costs nothing: it neither spins nor fills memory, and goes on when it can.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;

use zcio::sys::{self, Errno};
use zcio::{Cause, Request, Side, Transfer, transfer};

use crate::common::{assert_idle, assert_same, bytes, file, file_elsewhere, fill, in_child, receive, tcp};
use crate::{end, socket, start, start_with, submit};

const MIB: usize = 1 << 20;

#[test]
fn a_full_sink_is_waited_for_without_spinning() {
    in_child("waiting::a_full_sink_is_waited_for_without_spinning", || {
        let (sink, mut peer) = tcp();
        sink.set_nonblocking(true).unwrap();
        let started = start(&file(&bytes(16 * MIB)), &sink);
        assert_idle("a peer that does not read");
        let held = started.ticket.bytes();
        assert!(held > 0 && held < 16 * MIB as u64, "{held} bytes are as much as sockets hold");

        // It reads a little, and stops again.
        let mut received = vec![0; 3 * MIB];
        peer.read_exact(&mut received).unwrap();
        assert_idle("a peer that has read a little");
        assert!(started.ticket.bytes() > held);

        let rest = receive(peer);
        assert_eq!(started.end().unwrap().bytes, 16 * MIB as u64);
        drop(sink);
        assert_same(&[received, rest.join().unwrap()].concat(), &bytes(16 * MIB));
    });
}

/// golang/go#75304: the source is ready all the time, the sink is not.
#[test]
fn a_ready_source_does_not_wake_what_waits_for_the_sink() {
    in_child("waiting::a_ready_source_does_not_wake_what_waits_for_the_sink", || {
        let (source, mut peer) = socket();
        let (reader, writer) = sys::pipe().unwrap();
        fill(&writer);
        peer.write_all(&bytes(100_000)).unwrap();
        drop(peer);
        let started = start(&source, &writer);
        assert_idle("a full pipe, and a source that has more and then ends");
        assert_eq!(started.ticket.bytes(), 0);

        let mut filled = vec![0; sys::buffered(&reader).unwrap()];
        assert_eq!(sys::read(&reader, &mut filled), Ok(filled.len()));
        sys::set_nonblocking(&reader, false).unwrap();
        let received = receive(std::fs::File::from(reader));
        assert_eq!(started.end().unwrap().bytes, 100_000);
        drop(writer);
        assert_same(&received.join().unwrap(), &bytes(100_000));
    });
}

#[test]
fn an_idle_source_and_an_idle_engine_cost_nothing() {
    in_child("waiting::an_idle_source_and_an_idle_engine_cost_nothing", || {
        let (source, mut peer) = socket();
        let (sink, receiver) = socket();
        let started = start(&source, &sink);
        assert_idle("a source that sends nothing");
        peer.write_all(b"now").unwrap();
        drop(peer);
        assert_eq!(started.end().unwrap().bytes, 3);
        drop(sink);
        assert_eq!(receive(receiver).join().unwrap(), b"now");
        assert_idle("no transfer at all");
    });
}

#[test]
fn the_blocking_driver_does_not_spin_either() {
    in_child("waiting::the_blocking_driver_does_not_spin_either", || {
        let (sink, peer) = socket();
        let (reader, writer) = sys::pipe().unwrap();
        let sender = thread::spawn(move || transfer(&file(&bytes(4 * MIB)), &sink).unwrap());
        let relay = thread::spawn(move || transfer(&reader, &file(b"")).unwrap());
        assert_idle("a socket nobody reads and a pipe nobody writes");
        let received = receive(peer);
        drop(writer);
        assert_eq!((sender.join().unwrap().bytes, relay.join().unwrap().bytes), (4 * MIB as u64, 0));
        assert_same(&received.join().unwrap(), &bytes(4 * MIB));
    });
}

/// Both its sockets have room all the time, and one its peer's end, which is no reason to look at either.
#[test]
fn a_bridge_on_its_own_thread_does_not_spin() {
    in_child("waiting::a_bridge_on_its_own_thread_does_not_spin", || {
        let ((a, mut left), (b, mut right)) = (socket(), socket());
        let joined = thread::spawn(move || zcio::bridge(&a, &b, None).unwrap());
        assert_idle("a bridge of which nobody wants anything");
        left.shutdown(Shutdown::Write).unwrap();
        right.set_nonblocking(true).unwrap();
        fill(&right);
        assert_idle("one whose one peer has ended, and does not read");
        right.shutdown(Shutdown::Write).unwrap();
        left.read_to_end(&mut Vec::new()).unwrap();
        let ending = joined.join().unwrap();
        assert_eq!((ending.a_to_b.unwrap().bytes, right.read(&mut [0]).unwrap()), (0, 0));
    });
}

/// It would not wait alone, but with it everything else.
#[test]
fn what_would_hold_up_the_thread_of_all_is_refused() {
    let (reader, writer) = sys::pipe().unwrap();
    sys::set_nonblocking(&reader, false).unwrap();
    sys::set_nonblocking(&writer, false).unwrap();
    let refused = [
        (start_with(&reader, &file(b""), Request::default()), Side::Source),
        (start_with(&file(b"some"), &writer, Request::default()), Side::Sink),
    ];
    for (started, side) in refused {
        let failure = started.err().unwrap();
        assert_eq!((failure.cause, failure.side), (Cause::Blocking, Some(side)));
    }
    // Neither does it help to have asked for another driver.
    let sink = file_elsewhere(b"");
    let transfer = Transfer::new(end(&reader), end(&sink), Request::default()).unwrap();
    let failure = submit(transfer).err().unwrap();
    assert_eq!((failure.cause, failure.side), (Cause::Blocking, Some(Side::Source)));
}

/// A blocking socket has calls that do not wait, whatever its flags; these are not changed.
#[test]
fn a_blocking_socket_is_written_to_without_blocking() {
    let (sink, peer) = tcp();
    let (other, other_peer) = socket();
    let started = start(&file(&bytes(16 * MIB)), &sink);
    // While that one waits for its peer, this one is served.
    let served = receive(other_peer);
    start(&file_elsewhere(&bytes(MIB)), &other).end().unwrap();
    drop(other);
    assert_same(&served.join().unwrap(), &bytes(MIB));

    assert!(started.is_under_way());
    let received = receive(peer);
    let outcome = started.end().unwrap();
    assert_eq!(crate::common::fallbacks(&outcome), [("sendfile", "BLOCKING_SOCKET")]);
    assert!(!sys::status_flags(&sink).unwrap().contains(sys::StatusFlags::NONBLOCK));
    drop(sink);
    assert_same(&received.join().unwrap(), &bytes(16 * MIB));
}

#[test]
fn a_reader_who_leaves_ends_what_waited_for_it() {
    let (sink, peer) = socket();
    let started = start(&file(&bytes(4 * MIB)), &sink);
    assert!(started.is_under_way());
    drop(peer);
    let failure = started.end().unwrap_err();
    let Cause::System { errno, call: "sendfile" } = failure.cause else { panic!("{failure}") };
    assert!([Errno::PIPE, Errno::CONNRESET].contains(&errno), "{failure}");
    assert_eq!(failure.side, Some(Side::Sink));
    assert!(failure.outcome.bytes < 4 * MIB as u64);
}
