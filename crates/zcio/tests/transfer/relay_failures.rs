//! Relays that end midway: in = out + residual, and what was never taken is still in the source.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread;

use nix::sys::resource::{Resource, setrlimit};
use zcio::sys::{self, Errno};
use zcio::{
    Cause, Endpoint, Facts, Failure, Linux, Patience, Plumbing, Request, Side, Step, Transfer, transfer,
};

use crate::common::ends::{Of, Source, nonblocking};
use crate::common::{assert_same, bytes, content, file, in_child};
use crate::limits::in_small_tmpfs;

const MIB: usize = 1 << 20;

/// What had arrived, what was given back and what was never taken are the whole.
#[track_caller]
fn assert_nothing_lost(arrived: &[u8], failure: &Failure, source: Source, whole: &[u8]) {
    assert_eq!(failure.outcome.bytes, arrived.len() as u64);
    let mut rest = Vec::new();
    sys::set_nonblocking(&source, false).unwrap();
    let mut reader = File::from(source.as_fd().try_clone_to_owned().unwrap());
    reader.read_to_end(&mut rest).unwrap();
    source.end();
    assert_same(&[arrived, &failure.outcome.residual, &rest].concat(), whole);
}

#[test]
fn a_file_size_limit_gives_back_what_the_pipe_held() {
    const LIMIT: usize = MIB + 1234;
    in_child("relay_failures::a_file_size_limit_gives_back_what_the_pipe_held", || {
        let whole = bytes(3 * MIB);
        setrlimit(Resource::RLIMIT_FSIZE, LIMIT as u64, LIMIT as u64).unwrap();
        for of in [Of::Unix, Of::Tcp, Of::Pipe] {
            let (source, sink) = (Source::new(of, whole.clone()), file(b""));
            let failure = transfer(&source, &sink).unwrap_err();
            assert_eq!(failure.cause, Cause::System { errno: Errno::FBIG, call: "splice" });
            assert_eq!((failure.side, failure.outcome.bytes), (Some(Side::Sink), LIMIT as u64));
            assert_nothing_lost(&content(&sink), &failure, source, &whole);
        }
    });
}

#[test]
fn a_full_file_system_gives_back_what_the_pipe_held() {
    in_small_tmpfs("relay_failures::a_full_file_system_gives_back_what_the_pipe_held", || {
        let whole = bytes(2 * MIB);
        for of in [Of::Unix, Of::Tcp, Of::Pipe] {
            let source = Source::new(of, whole.clone());
            let sink = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open("/tmp/small")
                .unwrap();
            let failure = transfer(&source, &sink).unwrap_err();
            let Cause::System { errno: Errno::NOSPC, .. } = failure.cause else { panic!("{failure}") };
            assert_eq!(failure.side, Some(Side::Sink));
            assert!(failure.outcome.bytes > 0);
            assert_nothing_lost(&content(&sink), &failure, source, &whole);
        }
    });
}

/// A sink that has been filled and whose reader then goes, at several moments.
#[test]
fn a_reader_who_leaves_midway_costs_no_byte() {
    let whole = bytes(2 * MIB);
    for of in [Of::Unix, Of::Tcp, Of::Pipe] {
        for taken in [0, 1, 100_000, 500_000] {
            let source = Source::new(of, whole.clone());
            let (sink, mut peer) = UnixStream::pair().unwrap();
            // What the peer has read, and what it leaves unread: AF_UNIX knows how much.
            let reader = thread::spawn(move || {
                let mut received = vec![0; taken];
                peer.read_exact(&mut received).unwrap();
                peer.set_nonblocking(true).unwrap();
                thread::sleep(std::time::Duration::from_millis(20));
                peer.shutdown(std::net::Shutdown::Read).unwrap();
                let _ = peer.read_to_end(&mut received);
                received
            });
            let failure = transfer(&source, &sink).unwrap_err();
            assert_eq!(failure.cause, Cause::System { errno: Errno::PIPE, call: "splice" }, "{of:?}");
            assert_eq!(failure.side, Some(Side::Sink));
            assert_nothing_lost(&reader.join().unwrap(), &failure, source, &whole);
        }
    }
}

/// Stopped with bytes in the pipe between two sockets, or beneath a file; a pipe as source still has its bytes.
#[test]
fn what_a_stopped_relay_had_taken_is_the_residual() {
    let whole = bytes(2 * MIB);
    for of in [Of::Unix, Of::Tcp, Of::Pipe] {
        let source = Source::new(of, whole.clone());
        nonblocking(&source);
        let (sink, mut peer) = UnixStream::pair().unwrap();
        nonblocking(&sink);
        let plumbing = Plumbing::<Linux<'_>>::default();
        let mut relay = Transfer::new(end(&source), end(&sink), Request::default()).unwrap();
        loop {
            match relay.advance(&plumbing, Patience::Disk) {
                Step::Wait(Side::Sink) => break,
                Step::Wait(Side::Source) => drop(sys::wait_readable(&source, None)),
                _ => {}
            }
        }
        let between_sockets = of != Of::Pipe;
        assert_eq!(plumbing.pipes.lent(), usize::from(between_sockets));
        let failure = relay.stop(&plumbing, Cause::Canceled, None);
        assert_eq!(!failure.outcome.residual.is_empty(), between_sockets);
        assert_eq!(plumbing.pipes.lent(), 0);
        drop(relay);
        drop(sink);
        let mut arrived = Vec::new();
        peer.read_to_end(&mut arrived).unwrap();
        assert_nothing_lost(&arrived, &failure, source, &whole);
    }
}

#[test]
fn a_source_that_is_reset_is_an_error_of_the_source_and_what_came_before_has_arrived() {
    let (source, peer) = crate::common::tcp();
    (&source).write_all(b"unread, so that closing resets").unwrap();
    (&peer).write_all(b"before").unwrap();
    thread::sleep(std::time::Duration::from_millis(20));
    drop(peer);
    let sink = file(b"");
    match transfer(&source, &sink) {
        Ok(outcome) => panic!("{outcome:?}"),
        Err(failure) => {
            assert_eq!(failure.cause, Cause::System { errno: Errno::CONNRESET, call: "splice" });
            assert_eq!(failure.side, Some(Side::Source));
            assert_eq!(failure.outcome.bytes, content(&sink).len() as u64);
        }
    }
}

fn end(fd: &impl AsFd) -> Endpoint<zcio::Fd<'_>> {
    Endpoint::new(fd.as_fd(), Facts::of(fd).unwrap())
}

/// `/dev/full` refuses splice(2) with bytes in the pipe; write(2) then meets the real reason.
#[test]
fn a_sink_that_refuses_a_filled_pipe_is_written_to() {
    let whole = bytes(100_000);
    let source = Source::new(Of::Unix, whole.clone());
    let full = OwnedFd::from(File::options().write(true).open("/dev/full").unwrap());
    let failure = transfer(&source, &full).unwrap_err();
    assert_eq!(failure.cause, Cause::System { errno: Errno::NOSPC, call: "write" });
    assert_eq!(crate::common::fallbacks(&failure.outcome), [("splice", "EINVAL")]);
    assert!(!failure.outcome.residual.is_empty());
    assert_nothing_lost(b"", &failure, source, &whole);
}
