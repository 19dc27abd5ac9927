//! Cancelled at any point: the count is exact, what was taken is given back, and no descriptor stays open.

use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use zcio::sys::{self, Errno};
use zcio::{Cause, Endpoint, Failure, Fd, Patience, Plumbing, Reactor, Request, Step, Transfer};

use crate::common::{
    assert_same, bytes, descriptors, eventually, file, file_elsewhere, fill, in_child, receive,
};
use crate::{Started, end, socket, start, submit};

const MIB: usize = 1 << 20;

/// Before its first call, between two turns, while it waits, and when it is all but over.
#[test]
fn what_was_counted_is_what_arrived_wherever_it_was_cancelled() {
    const LENGTH: usize = 3 * MIB;
    for point in 0..40 {
        let (sink, mut peer) = socket();
        let mut source = if point % 2 == 0 { file(&bytes(LENGTH)) } else { file_elsewhere(&bytes(LENGTH)) };
        let started = start(&source, &sink);
        let mut received = vec![0; point * 60_000];
        peer.read_exact(&mut received).unwrap();
        started.ticket.cancel();
        let Failure { cause, side, outcome } = started.end().unwrap_err();
        assert_eq!((cause, side, outcome.residual.len()), (Cause::Canceled, None, 0));
        drop(sink);
        peer.read_to_end(&mut received).unwrap();
        assert_eq!(outcome.bytes, received.len() as u64, "cancelled behind byte {}", point * 60_000);
        assert_same(&received, &bytes(LENGTH)[..received.len()]);
        assert_eq!(source.stream_position().unwrap(), outcome.bytes);
    }
}

/// in = out + residual, and the rest is still in the source.
#[test]
fn what_a_cancelled_relay_had_taken_is_the_residual() {
    for point in [0, 1, 70_000, 200_000, 400_000] {
        let (mut source, mut peer) = socket();
        let (sink, mut receiver) = socket();
        let writer = std::thread::spawn(move || peer.write_all(&bytes(MIB)).unwrap());
        let started = start(&source, &sink);
        let mut received = vec![0; point];
        receiver.read_exact(&mut received).unwrap();
        started.ticket.cancel();
        let Failure { cause, outcome, .. } = started.end().unwrap_err();
        assert_eq!(cause, Cause::Canceled);
        drop(sink);
        receiver.read_to_end(&mut received).unwrap();
        assert_eq!(outcome.bytes, received.len() as u64);

        let mut rest = Vec::new();
        source.set_nonblocking(false).unwrap();
        source.read_to_end(&mut rest).unwrap();
        writer.join().unwrap();
        assert_same(&[received, outcome.residual, rest].concat(), &bytes(MIB));
    }
}

#[test]
fn a_copy_between_files_is_cancelled_and_counted() {
    let (mut source, mut sink) = (file_elsewhere(&bytes(64 * MIB)), file(b""));
    let started = start(&source, &sink);
    started.ticket.cancel();
    started.ticket.cancel();
    let bytes_moved = match started.end() {
        // It was in its last call.
        Ok(outcome) => outcome.bytes,
        Err(failure) => {
            assert_eq!(failure.cause, Cause::Canceled);
            failure.outcome.bytes
        }
    };
    assert_eq!(sys::stat(&sink).unwrap().size, bytes_moved);
    assert_eq!(
        (source.stream_position().unwrap(), sink.stream_position().unwrap()),
        (bytes_moved, bytes_moved)
    );
}

/// At whatever moment it comes: also while the job is between the disk pool and the event loop.
#[test]
fn no_cancel_is_overlooked() {
    let (source, _peer) = socket();
    let sink = file(b"");
    for round in 0..1000 {
        let started = start(&source, &sink);
        for _ in 0..round {
            std::hint::spin_loop();
        }
        started.ticket.cancel();
        assert_eq!(started.end().unwrap_err().cause, Cause::Canceled, "round {round}");
    }
}

#[test]
fn cancelling_what_is_over_does_nothing() {
    let (sink, mut peer) = socket();
    let started = start(&file(b"some"), &sink);
    let ticket = started.ticket;
    let ending = started.ending.recv().unwrap();
    ticket.cancel();
    ticket.hang_up(1);
    assert_eq!((ending.unwrap().bytes, ticket.bytes()), (4, 4));
    (&sink).write_all(b" more").unwrap();
    drop(sink);
    let mut received = String::new();
    peer.read_to_string(&mut received).unwrap();
    assert_eq!(received, "some more");
}

/// close(2) of the owner's descriptor sends no FIN while the engine has a duplicate: shutdown(2) does, at once.
#[test]
fn hanging_up_reaches_the_peer_although_descriptors_are_open() {
    let (sink, mut peer) = crate::common::tcp();
    sink.set_nonblocking(true).unwrap();
    let started = start(&file(&bytes(64 * MIB)), &sink);
    let mut first = vec![0; 100_000];
    peer.read_exact(&mut first).unwrap();

    let since = Instant::now();
    started.ticket.hang_up(1);
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut rest = Vec::new();
    peer.read_to_end(&mut rest).unwrap();
    assert!(since.elapsed() < Duration::from_secs(5), "the end came only after {:?}", since.elapsed());
    assert_eq!((&sink).write(b"x").unwrap_err().raw_os_error(), Some(Errno::PIPE.raw()));

    let failure = started.end().unwrap_err();
    let received = [first, rest].concat();
    // Which was first, the flag or the failing call, is a matter of luck.
    assert!(matches!(failure.cause, Cause::Canceled | Cause::System { errno: Errno::PIPE, .. }), "{failure}");
    assert_same(&received, &bytes(64 * MIB)[..received.len()]);
    assert!(received.len() as u64 <= failure.outcome.bytes);
}

/// In the middle of a turn it would meet an end that the peer has not sent, and take what it has for all there is.
#[test]
fn what_is_cut_off_by_hanging_up_has_not_ended_well() {
    for round in 0..200 {
        let (source, mut peer) = socket();
        let flooding = thread::spawn(move || while peer.write_all(&[7; 4096]).is_ok() {});
        let started = start(&source, &file(b""));
        eventually(|| started.ticket.bytes() > round * 10_000);
        started.ticket.hang_up(0);
        drop(source);
        assert_eq!(started.end().unwrap_err().cause, Cause::Canceled, "round {round}");
        flooding.join().unwrap();
    }
}

/// They are open here too, so that nobody sees an end when the task closes its own.
#[test]
fn sockets_that_are_the_tasks_alone_are_shut_down_too() {
    let own = |socket: &UnixStream| {
        let fd = OwnedFd::from(socket.try_clone().unwrap());
        Endpoint::<Fd<'static>>::of(fd).unwrap()
    };
    let ((source, mut sender), (sink, mut receiver)) = (socket(), socket());
    let transfer = Transfer::new(own(&source), own(&sink), Request::default()).unwrap();
    let (on_end, ending) = channel();
    let told = move |ending| drop(on_end.send(ending));
    let started = Started { ticket: Reactor::global().unwrap().carry_out(transfer, told).unwrap(), ending };
    for peer in [&sender, &receiver] {
        peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    }

    started.ticket.shut_down(1);
    assert_eq!(receiver.read(&mut [0]).unwrap(), 0);
    assert!(started.is_under_way(), "its source has not ended");
    started.ticket.hang_up(0);
    assert_eq!(sender.read(&mut [0]).unwrap(), 0);
    assert_eq!(started.end().unwrap_err().cause, Cause::Canceled);
}

#[test]
fn a_thousand_transfers_half_of_them_cancelled_leave_no_descriptor_open() {
    in_child("cancel::a_thousand_transfers_half_of_them_cancelled_leave_no_descriptor_open", || {
        let source = file(&bytes(MIB));
        // The engine's own, which stay: epoll and its bell.
        let (sink, peer) = socket();
        start(&file_elsewhere(b"first"), &sink).end().unwrap();
        drop((sink, peer));
        let before = descriptors();
        for round in 0..20 {
            let started: Vec<_> = (0..50)
                .map(|number| {
                    let (sink, peer) = socket();
                    let request = Request { start: Some(0), length: Some(300_000), ..Request::default() };
                    let started = crate::start_with(&source, &sink, request).unwrap();
                    if number % 2 == round % 2 {
                        started.ticket.cancel();
                    } else {
                        receive(peer.try_clone().unwrap());
                    }
                    (started, peer, sink)
                })
                .collect();
            for (number, (started, peer, sink)) in started.into_iter().enumerate() {
                match started.end() {
                    Ok(outcome) => assert_eq!(outcome.bytes, 300_000),
                    Err(failure) => assert_eq!((failure.cause, number % 2), (Cause::Canceled, round % 2)),
                }
                drop((peer, sink));
            }
        }
        // The threads that received close theirs when they see the end.
        assert!(eventually(|| descriptors() == before), "{} descriptors, and {before} before", descriptors());
    });
}

/// Whoever is told of the end may close, reuse or count descriptors: ours are gone by then.
#[test]
fn descriptors_are_closed_before_the_end_is_told() {
    in_child("cancel::descriptors_are_closed_before_the_end_is_told", || {
        let (sink, _peer) = socket();
        let source = file(&bytes(4 * MIB));
        start(&file_elsewhere(b"first"), &file_elsewhere(b"")).end().unwrap();
        let before = descriptors();
        for _ in 0..50 {
            let started = start(&source, &sink);
            started.ticket.cancel();
            let _ = started.end();
            assert_eq!(descriptors(), before);
        }
    });
}

/// A transfer that was begun elsewhere and cannot be taken over gives back what it carries.
#[test]
fn what_cannot_be_submitted_loses_nothing() {
    in_child("cancel::what_cannot_be_submitted_loses_nothing", || {
        let (source, mut peer) = socket();
        let (sink, _receiver) = socket();
        fill(&sink);
        let carrying = |peer: &mut UnixStream| {
            peer.write_all(b"on the way").unwrap();
            let request = Request { asynchronous: true, ..Request::default() };
            let mut transfer = Transfer::new(end(&source), end(&sink), request).unwrap();
            assert!(matches!(transfer.advance(&Plumbing::default(), Patience::None), Step::Wait(_)));
            transfer
        };
        let busy = submit(carrying(&mut peer)).unwrap();
        let failure = submit(carrying(&mut peer)).err().unwrap();
        assert_eq!((failure.cause, &failure.outcome.residual[..]), (Cause::Busy, &b"on the way"[..]));
        busy.ticket.cancel();
        assert_eq!(busy.end().unwrap_err().outcome.residual, b"on the way");

        let transfer = carrying(&mut peer);
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 4, most).unwrap();
        let failure = submit(transfer).err().unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
        assert_eq!(failure.cause, Cause::System { errno: Errno::MFILE, call: "fcntl" });
        assert_eq!(failure.outcome.residual, b"on the way");
    });
}
