//! Failures midway: how much had arrived is exact, and what had been taken and did not arrive is given back.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write, pipe};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::thread;

use zcio::sys::{self, Errno};
use zcio::{
    Cause, Endpoint, Facts, Failure, Linux, Mechanism, Patience, Plumbing, Request, Side, Step, Transfer,
    transfer, transfer_with,
};

use crate::common::{assert_same, bytes, content, fallbacks, file, file_elsewhere, receive, send};

const MIB: usize = 1 << 20;

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

fn no_space(side: Side) -> (Cause, Option<Side>) {
    (Cause::System { errno: Errno::NOSPC, call: "write" }, Some(side))
}

/// sendfile(2) answers EINVAL there; read and write then meets the real reason.
#[test]
fn a_full_sink_fails_and_the_source_stands_where_it_stood() {
    let mut source = file(&bytes(MIB));
    let Failure { cause, side, outcome } = transfer(&source, &full()).unwrap_err();
    assert_eq!((cause, side), no_space(Side::Sink));
    assert_eq!(fallbacks(&outcome), [("sendfile", "EINVAL")]);
    assert_eq!((outcome.bytes, &outcome.residual[..]), (0, &b""[..]));
    assert_eq!(source.stream_position().unwrap(), 0);
}

#[test]
fn what_was_taken_from_a_pipe_and_not_accepted_is_the_residual() {
    let (mut reader, writer) = pipe().unwrap();
    let sender = send(writer, bytes(MIB));
    let Failure { cause, side, outcome } = transfer(&reader, &full()).unwrap_err();
    assert_eq!((cause, side), no_space(Side::Sink));
    assert_eq!(outcome.bytes, 0);
    assert!(!outcome.residual.is_empty(), "write(2) must have been given something");
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert_same(&[outcome.residual, rest].concat(), &bytes(MIB));
    sender.join().unwrap();
}

#[test]
fn what_was_taken_from_a_socket_and_not_accepted_is_the_residual() {
    let (socket, mut peer) = UnixStream::pair().unwrap();
    peer.write_all(&bytes(100_000)).unwrap();
    let (mut reader, writer) = pipe().unwrap();
    // The reader takes a part and goes; its last read wakes a writer who finds nobody there.
    let taker = thread::spawn(move || {
        let mut taken = vec![0; 70_000];
        reader.read_exact(&mut taken).unwrap();
        taken
    });
    sys::set_nonblocking(&writer, true).unwrap();
    drop(peer);
    let failure = transfer(&socket, &writer);
    let taken = taker.join().unwrap();
    assert_same(&taken, &bytes(100_000)[..70_000]);
    match failure {
        // All of it was in the pipe before the reader went.
        Ok(outcome) => assert_eq!(outcome.bytes, 100_000),
        Err(Failure { cause, side, outcome }) => {
            assert_eq!(cause, Cause::System { errno: Errno::PIPE, call: "splice" });
            assert_eq!(side, Some(Side::Sink));
            let moved = usize::try_from(outcome.bytes).unwrap();
            assert_same(&outcome.residual, &bytes(100_000)[moved..]);
        }
    }
}

/// `fs.copyFile` spins for ever here: what is owed is not there any more.
#[test]
fn a_file_that_is_cut_midway_ends_where_it_ends() {
    let whole = bytes(40 * MIB);
    for source in [file(&whole), file_elsewhere(&whole)] {
        // Not empty: such a one cannot be made by cloning.
        let sink = file(b"x");
        let mut transfer = started(&source, &sink, Request::default());
        // One turn between files is 32 MiB.
        assert!(matches!(transfer.advance(&Plumbing::default(), Patience::Disk), Step::Again));
        source.set_len(36 * MIB as u64).unwrap();
        let outcome = to_the_end(transfer);
        assert_eq!(outcome.bytes, 36 * MIB as u64);
        assert_same(&content(&sink), &whole[..36 * MIB]);
    }
}

/// oven-sh/bun#34185, oven-sh/bun#41622: the count tells that it was not all, and nothing is padded.
#[test]
fn a_file_that_is_cut_while_it_is_sent_ends_where_it_ends() {
    let whole = bytes(4 * MIB);
    let source = file(&whole);
    let (socket, mut peer) = UnixStream::pair().unwrap();
    socket.set_nonblocking(true).unwrap();
    let request = Request { length: Some(4 * MIB as u64), ..Request::default() };
    let mut transfer = started(&source, &socket, request);
    while !matches!(transfer.advance(&Plumbing::default(), Patience::Disk), Step::Wait(Side::Sink)) {}
    let sent = usize::try_from(transfer.moved()).unwrap();
    assert!(sent < MIB, "the peer reads nothing, so the socket is full");

    source.set_len(2 * MIB as u64).unwrap();
    let mut received = vec![0; sent];
    peer.read_exact(&mut received).unwrap();
    let receiver = receive(peer);
    let outcome = zcio::drivers::blocking::drive(transfer).unwrap();
    drop(socket);
    assert_eq!(outcome.bytes, 2 * MIB as u64);
    assert_same(&[received, receiver.join().unwrap()].concat(), &whole[..2 * MIB]);
}

/// oven-sh/bun#36758: a file that grows meanwhile is sent to the length asked for, not beyond.
#[test]
fn a_file_that_grows_while_it_is_sent_is_sent_to_the_length_asked_for() {
    let whole = bytes(4 * MIB);
    let source = file(&whole[..2 * MIB]);
    let (socket, peer) = UnixStream::pair().unwrap();
    socket.set_nonblocking(true).unwrap();
    let request = Request { length: Some(2 * MIB as u64), ..Request::default() };
    let mut transfer = started(&source, &socket, request);
    while !matches!(transfer.advance(&Plumbing::default(), Patience::Disk), Step::Wait(Side::Sink)) {}
    source.write_all_at(&whole[2 * MIB..], 2 * MIB as u64).unwrap();
    let receiver = receive(peer);
    assert_eq!(zcio::drivers::blocking::drive(transfer).unwrap().bytes, 2 * MIB as u64);
    drop(socket);
    assert_same(&receiver.join().unwrap(), &whole[..2 * MIB]);
}

/// oven-sh/bun#33657, oven-sh/bun#9755: the size is not what it was when it was asked for.
#[test]
fn a_file_that_has_grown_since_is_moved_whole() {
    let whole = bytes(MIB);
    let source = file(&whole[..1000]);
    let sink = file_elsewhere(b"");
    let transfer = started(&source, &sink, Request::default());
    source.write_all_at(&whole[1000..], 1000).unwrap();
    assert_eq!(to_the_end(transfer).bytes, MIB as u64);
    assert_same(&content(&sink), &whole);
}

/// oven-sh/bun#43398, rust-lang/rust#91152: what takes over midway goes on at the byte where it stopped. Here
/// another holder of the sink sets `O_APPEND`, which every call but write(2) refuses.
#[test]
fn read_and_write_takes_over_at_the_byte_where_the_kernel_stops() {
    let whole = bytes(40 * MIB);
    for source in [file(&whole), file_elsewhere(&whole)] {
        let mut sink = file(b"x");
        let mut transfer = started(&source, &sink, Request::default());
        assert!(matches!(transfer.advance(&Plumbing::default(), Patience::Disk), Step::Again));
        let append = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_APPEND);
        nix::fcntl::fcntl(&sink, append).unwrap();
        let outcome = to_the_end(transfer);
        assert_eq!((outcome.bytes, outcome.mechanism), (40 * MIB as u64, Mechanism::ReadWrite));
        assert_same(&content(&sink), &whole);
        assert_eq!(sink.stream_position().unwrap(), 40 * MIB as u64);
    }
}

/// Of a seekable source there is no residual: its position is the place to go on.
#[test]
fn a_file_can_be_taken_up_again_where_it_was_stopped() {
    for snapshot in [false, true] {
        let mut source = file(&bytes(MIB));
        let (socket, mut peer) = UnixStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        let request = Request { snapshot, ..Request::default() };
        let mut stopped = started(&source, &socket, request);
        while !matches!(stopped.advance(&Plumbing::default(), Patience::Disk), Step::Wait(Side::Sink)) {}
        let failure = stopped.stop(&Plumbing::default(), Cause::Canceled, None);
        assert_eq!((failure.cause, failure.outcome.residual.len()), (Cause::Canceled, 0));
        let moved = failure.outcome.bytes;
        assert_eq!(source.stream_position().unwrap(), moved);

        let mut received = vec![0; usize::try_from(moved).unwrap()];
        peer.read_exact(&mut received).unwrap();
        let receiver = receive(peer);
        assert_eq!(transfer_with(&source, &socket, request).unwrap().bytes, MIB as u64 - moved);
        drop(socket);
        assert_same(&[received, receiver.join().unwrap()].concat(), &bytes(MIB));
    }
}

#[test]
fn a_reset_peer_is_an_error_of_the_sink() {
    let (socket, peer) = crate::common::tcp();
    (&socket).write_all(b"unread, so that closing resets").unwrap();
    thread::sleep(std::time::Duration::from_millis(20));
    drop(peer);
    let Failure { cause, side, .. } = transfer(&file(&bytes(8 * MIB)), &socket).unwrap_err();
    let Cause::System { errno, call: "sendfile" } = cause else { panic!("{cause:?}") };
    assert!([Errno::CONNRESET, Errno::PIPE].contains(&errno), "{errno}");
    assert_eq!(side, Some(Side::Sink));
}

#[test]
fn a_failure_is_an_io_error_with_its_kind() {
    let error = std::io::Error::from(transfer(&file(b"some"), &full()).unwrap_err());
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(error.to_string(), "ENOSPC: no space left on device, write (after 0 bytes)");
}

fn started<'fd>(source: &'fd impl AsFd, sink: &'fd impl AsFd, request: Request) -> Transfer<Linux<'fd>> {
    Transfer::new(end(source), end(sink), request).unwrap()
}

fn end(fd: &impl AsFd) -> Endpoint<zcio::Fd<'_>> {
    Endpoint::new(fd.as_fd(), Facts::of(fd).unwrap())
}

fn to_the_end(transfer: Transfer<Linux<'_>>) -> zcio::Outcome {
    zcio::drivers::blocking::drive(transfer).unwrap()
}
