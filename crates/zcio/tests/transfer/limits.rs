//! Where space ends: a small file system, and `RLIMIT_FSIZE`, whose signal would kill the process.

use std::fs::File;
use std::io::{Read, Seek, pipe};
use std::process::Command;

use nix::sys::resource::{Resource, setrlimit};
use zcio::sys::Errno;
use zcio::{Cause, Failure, Mechanism, Side, transfer};

use crate::common::{
    assert_same, bytes, content, file, file_elsewhere, file_to_append, in_child, in_child_of, is_child, send,
};

const MIB: usize = 1 << 20;

/// SIGXFSZ comes even with a partial success, and its default is to end the process.
#[test]
fn a_file_size_limit_is_an_error_and_no_signal() {
    const LIMIT: usize = MIB + 1234;
    in_child("limits::a_file_size_limit_is_an_error_and_no_signal", || {
        let (near, far) = (file(&bytes(3 * MIB)), file_elsewhere(&bytes(3 * MIB)));
        setrlimit(Resource::RLIMIT_FSIZE, LIMIT as u64, LIMIT as u64).unwrap();

        for (mut source, sink) in [(near, file(b"")), (far, file(b""))] {
            let failure = transfer(&source, &sink).unwrap_err();
            assert_too_big(&failure);
            assert_ne!(failure.outcome.mechanism, Mechanism::ReadWrite);
            assert_eq!(failure.outcome.bytes, LIMIT as u64);
            assert_eq!(source.stream_position().unwrap(), LIMIT as u64);
            assert_same(&content(&sink), &bytes(LIMIT));
        }
        let (reader, writer) = pipe().unwrap();
        let sender = send(writer, bytes(3 * MIB));
        let sink = file_to_append();
        let failure = transfer(&reader, &sink).unwrap_err();
        assert_too_big(&failure);
        assert_eq!(failure.outcome.bytes, LIMIT as u64);
        assert_nothing_lost(&failure, reader, &sink);
        sender.join().unwrap();
        assert_no_signal_is_pending();
    });
}

#[track_caller]
fn assert_too_big(failure: &Failure) {
    let Cause::System { errno, .. } = failure.cause else { panic!("{failure}") };
    assert_eq!((errno, failure.side), (Errno::FBIG, Some(Side::Sink)), "{failure}");
}

fn assert_no_signal_is_pending() {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let pending = status.lines().find(|line| line.starts_with("SigPnd:")).unwrap();
    assert_eq!(pending, "SigPnd:\t0000000000000000");
}

#[test]
fn a_full_file_system_takes_what_fits_and_the_rest_is_given_back() {
    const SIZE: usize = MIB;
    in_small_tmpfs("limits::a_full_file_system_takes_what_fits_and_the_rest_is_given_back", || {
        let create = || File::options().read(true).write(true).create(true).truncate(true).open("/tmp/small");

        let mut source = file_elsewhere(&bytes(2 * SIZE));
        let sink = create().unwrap();
        let failure = transfer(&source, &sink).unwrap_err();
        assert_eq!(failure.outcome.mechanism, Mechanism::Sendfile);
        assert_no_space(&failure);
        assert!(failure.outcome.bytes > 0);
        assert_eq!(source.stream_position().unwrap(), failure.outcome.bytes);
        let accepted = usize::try_from(failure.outcome.bytes).unwrap();
        assert_same(&content(&sink), &bytes(accepted));
        drop(sink);

        let (reader, writer) = pipe().unwrap();
        let sender = send(writer, bytes(2 * SIZE));
        let sink = create().unwrap();
        let failure = transfer(&reader, &sink).unwrap_err();
        assert_no_space(&failure);
        assert!(failure.outcome.bytes > 0);
        assert_nothing_lost(&failure, reader, &sink);
        sender.join().unwrap();
    });
}

#[track_caller]
fn assert_no_space(failure: &Failure) {
    let Cause::System { errno: Errno::NOSPC, .. } = failure.cause else { panic!("{failure}") };
    assert_eq!(failure.side, Some(Side::Sink));
}

/// in = out + residual, and what was never taken is still in the source.
#[track_caller]
fn assert_nothing_lost(failure: &Failure, mut source: impl Read, sink: &File) {
    let accepted = content(sink);
    assert_eq!(accepted.len() as u64, failure.outcome.bytes);
    let mut rest = Vec::new();
    source.read_to_end(&mut rest).unwrap();
    let all = [&accepted[..], &failure.outcome.residual, &rest].concat();
    assert_same(&all, &bytes(all.len()));
}

const MOUNT: &str = "mount -t tmpfs -o size=1m zcio /tmp";

/// Runs the body where /tmp is a file system of 1 MiB, seen by that process alone; says so where it may not.
pub fn in_small_tmpfs(name: &str, body: impl FnOnce()) {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
        command
    };
    if !is_child() && !unshare().arg(MOUNT).output().is_ok_and(|output| output.status.success()) {
        eprintln!("not run: {name}: no tmpfs can be mounted here");
        return;
    }
    let mut command = unshare();
    // The test program may itself be in /tmp: it is opened before.
    command.arg(format!("exec 3<\"$0\" && {MOUNT} && exec /proc/self/fd/3 \"$@\""));
    command.arg(std::env::current_exe().unwrap());
    in_child_of(&mut command, name, body);
}
