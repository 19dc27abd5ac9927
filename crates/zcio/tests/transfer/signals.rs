//! A sink whose reader has gone is an error, not the end of the process.

use std::io::pipe;
use std::os::unix::net::UnixStream;
use std::thread;

use nix::sys::signal::{SigHandler, Signal, signal};
use zcio::sys::Errno;
use zcio::{Cause, Request, Side, transfer_with};

use crate::common::{bytes, file, in_child};

/// Rust's runtime ignores SIGPIPE; a library's host may not.
#[test]
fn a_broken_pipe_is_an_error_and_no_signal() {
    in_child("signals::a_broken_pipe_is_an_error_and_no_signal", || {
        // SAFETY: no handler of ours is installed, the default action is restored.
        unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
        for snapshot in [false, true] {
            let request = Request { snapshot, ..Request::default() };
            let (reader, writer) = pipe().unwrap();
            drop(reader);
            let (socket, peer) = UnixStream::pair().unwrap();
            drop(peer);
            for (ending, call) in [
                (transfer_with(&file(&bytes(100_000)), &writer, request), "splice"),
                (transfer_with(&file(&bytes(100_000)), &socket, request), "sendfile"),
            ] {
                let failure = ending.unwrap_err();
                let call = if snapshot { "write" } else { call };
                assert_eq!(failure.cause, Cause::System { errno: Errno::PIPE, call });
                assert_eq!((failure.side, failure.outcome.bytes), (Some(Side::Sink), 0));
            }
        }
    });
}

/// The reader leaves while the transfer waits for it.
#[test]
fn a_reader_who_leaves_midway_ends_the_transfer() {
    in_child("signals::a_reader_who_leaves_midway_ends_the_transfer", || {
        // SAFETY: as above.
        unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
        let (reader, writer) = zcio::sys::pipe().unwrap();
        let waits = thread::spawn(move || transfer_with(&file(&bytes(1 << 20)), &writer, Request::default()));
        while zcio::sys::buffered(&reader).unwrap() < 65_536 {
            thread::yield_now();
        }
        drop(reader);
        let failure = waits.join().unwrap().unwrap_err();
        assert_eq!(failure.cause, Cause::System { errno: Errno::PIPE, call: "splice" });
        assert_eq!(failure.outcome.bytes, 65_536);
    });
}
