//! What zcio may do to the process it is called in: nothing.
//!
//! Each test runs itself again in a process of its own, which it may change or lose. They are apart
//! from the others because for a moment a process that is being started holds what others have open.

use std::ffi::c_int;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

use zcio::sys::{self, Errno, SendFlags, SpliceFlags};
use zcio::{Cause, FanOutRequest};

const NONBLOCK: SpliceFlags = SpliceFlags::NONBLOCK;

#[test]
fn a_broken_pipe_kills_nobody_in_quiet() {
    let Some(child) = in_child("a_broken_pipe_kills_nobody_in_quiet") else {
        default_action(libc::SIGPIPE);
        let ((reader, writer), (_, sink)) = (sys::pipe().unwrap(), sys::pipe().unwrap());
        sys::write(&writer, b"x").unwrap();
        let splice = || sys::splice(&reader, None, &sink, None, 1, NONBLOCK);
        for _ in 0..3 {
            assert_eq!(sys::without_signals(splice), Err(Errno::PIPE));
            assert_eq!(sys::without_signals_of(1, splice), Err(Errno::PIPE));
        }
        println!("alive");
        _ = splice();
        unreachable!("the same call outside kills");
    };
    assert_died_after_being_alive(&child, libc::SIGPIPE);
}

#[test]
fn a_file_that_grew_too_large_kills_nobody_in_quiet() {
    let Some(child) = in_child("a_file_that_grew_too_large_kills_nobody_in_quiet") else {
        default_action(libc::SIGXFSZ);
        limit_file_size(100);
        let ((reader, writer), sink) = (sys::pipe().unwrap(), tempfile::tempfile().unwrap());
        sys::write(&writer, &[7; 150]).unwrap();
        let mut offset = 0;
        let mut splice = || sys::splice(&reader, None, &sink, Some(&mut offset), 150, NONBLOCK);
        assert_eq!(sys::without_signals_of(150, &mut splice), Ok(100));
        assert_eq!(sys::without_signals_of(150, &mut splice), Err(Errno::FBIG));
        assert_eq!(sys::without_signals(&mut splice), Err(Errno::FBIG));
        println!("alive");
        _ = splice();
        unreachable!("the same call outside kills");
    };
    assert_died_after_being_alive(&child, libc::SIGXFSZ);
}

#[test]
fn whatever_becomes_of_a_sink_kills_nobody() {
    let Some(child) = in_child("whatever_becomes_of_a_sink_kills_nobody") else {
        default_action(libc::SIGPIPE);
        default_action(libc::SIGXFSZ);
        limit_file_size(100);
        let failed = |errno, moved, sink: &dyn Fn() -> OwnedFd| {
            let failure = zcio::transfer(&two_hundred_bytes(), &sink()).unwrap_err();
            let cause = Cause::System { errno, call: "splice" };
            assert_eq!((failure.cause, failure.outcome.bytes), (cause, moved));
            #[cfg(feature = "tokio")]
            assert_eq!(by_tokio(&two_hundred_bytes(), &sink()).unwrap_err(), failure);
        };
        failed(Errno::FBIG, 100, &|| tempfile::tempfile().unwrap().into());
        failed(Errno::PIPE, 0, &|| sys::pipe().unwrap().1);
        failed(Errno::PIPE, 0, &|| {
            let (socket, _peer) = UnixStream::pair().unwrap();
            socket.set_nonblocking(true).unwrap();
            socket.into()
        });
        let (gone, (_reader, kept)) = (sys::pipe().unwrap().1, sys::pipe().unwrap());
        let request = FanOutRequest { drop_failed: true, ..FanOutRequest::default() };
        let ending = zcio::fan_out(&two_hundred_bytes(), &[&gone, &kept], request).unwrap();
        assert_eq!(ending.sinks.iter().map(|sink| sink.bytes).collect::<Vec<_>>(), [0, 200]);
        return;
    };
    assert!(child.status.success(), "{child:?}");
}

fn two_hundred_bytes() -> OwnedFd {
    let (reader, writer) = sys::pipe().unwrap();
    sys::write(&writer, &[7; 200]).unwrap();
    reader
}

#[cfg(feature = "tokio")]
fn by_tokio(source: &OwnedFd, sink: &OwnedFd) -> zcio::Ending {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(zcio::tokio::transfer(source, sink))
}

#[test]
fn a_send_kills_nobody_at_all() {
    let Some(child) = in_child("a_send_kills_nobody_at_all") else {
        default_action(libc::SIGPIPE);
        let (socket, peer) = UnixStream::pair().unwrap();
        drop(peer);
        let (none, slices) = (SendFlags::empty(), [IoSlice::new(b"x")]);
        assert_eq!(sys::send(&socket, b"x", none), Err(Errno::PIPE));
        assert_eq!(sys::send_vectored(&socket, &slices, none), Err(Errno::PIPE));
        return;
    };
    assert!(child.status.success(), "{child:?}");
}

#[test]
fn a_duplicate_never_takes_the_number_of_a_standard_stream() {
    let Some(child) = in_child("a_duplicate_never_takes_the_number_of_a_standard_stream") else {
        let source = tempfile::tempfile().unwrap();
        // SAFETY: this process is ours alone, and nothing in it reads the standard input.
        assert_eq!(unsafe { libc::close(0) }, 0);
        assert!(sys::duplicate(&source).unwrap().as_raw_fd() > 2);
        return;
    };
    assert!(child.status.success(), "{child:?}");
}

/// Runs the test `name` again in a process of its own.
///
/// There this returns `None`, and the test does what it is for; here what became of that process.
fn in_child(name: &str) -> Option<Output> {
    const MARK: &str = "ZCIO_TEST_CHILD";
    if std::env::var_os(MARK).is_some() {
        return None;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([name, "--exact", "--nocapture"]).env(MARK, name);
    Some(child.output().unwrap())
}

fn default_action(signal: c_int) {
    // SAFETY: the default action needs no handler.
    assert_ne!(unsafe { libc::signal(signal, libc::SIG_DFL) }, libc::SIG_ERR);
}

fn limit_file_size(bytes: libc::rlim_t) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: the kernel reads an `rlimit` where there is one.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) }, 0);
}

fn assert_died_after_being_alive(child: &Output, signal: c_int) {
    assert!(String::from_utf8_lossy(&child.stdout).contains("alive"), "{child:?}");
    assert_eq!(child.status.signal(), Some(signal), "{child:?}");
}
