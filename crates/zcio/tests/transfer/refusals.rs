//! What cannot be an end of a transfer is refused before anything moves, and the failure says which end and why.

use std::fs::{File, OpenOptions};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};

use zcio::sys::{self, Errno, OpenFlags};
use zcio::{Cause, Ending, Request, Side, transfer, transfer_with};

use crate::common::{content, file, file_to_append};

#[track_caller]
fn assert_refused(ending: Ending, errno: Errno, call: &'static str, side: Side) {
    let failure = ending.unwrap_err();
    assert_eq!((failure.cause, failure.side), (Cause::System { errno, call }, Some(side)));
    assert_eq!((failure.outcome.bytes, failure.outcome.residual.len()), (0, 0));
}

#[test]
fn a_directory_is_neither() {
    let directory = File::open("/").unwrap();
    assert_refused(transfer(&directory, &file(b"")), Errno::ISDIR, "read", Side::Source);
    assert_refused(transfer(&file(b"some"), &directory), Errno::ISDIR, "read", Side::Sink);
}

#[test]
fn a_file_that_is_not_open_for_it_is_neither() {
    let named = tempfile::NamedTempFile::new().unwrap();
    let reading = File::open(named.path()).unwrap();
    let writing = OpenOptions::new().write(true).open(named.path()).unwrap();
    let name = sys::open(named.path(), OpenFlags::PATH, 0).unwrap();
    assert_refused(transfer(&file(b"some"), &reading), Errno::BADF, "write", Side::Sink);
    assert_refused(transfer(&writing, &file(b"")), Errno::BADF, "read", Side::Source);
    assert_refused(transfer(&name, &file(b"")), Errno::BADF, "read", Side::Source);
    assert_refused(transfer(&file(b"some"), &name), Errno::BADF, "read", Side::Sink);
}

#[test]
fn the_wrong_end_of_a_pipe_is_neither() {
    let (reader, writer) = sys::pipe().unwrap();
    assert_refused(transfer(&writer, &file(b"")), Errno::BADF, "read", Side::Source);
    assert_refused(transfer(&file(b"some"), &reader), Errno::BADF, "write", Side::Sink);
}

#[test]
fn what_is_appended_to_has_no_offset() {
    let sink = file_to_append();
    let request = Request { sink_start: Some(0), ..Request::default() };
    let failure = transfer_with(&file(b"some"), &sink, request).unwrap_err();
    assert!(matches!(failure.cause, Cause::Unsupported(_)), "{failure}");
    assert_eq!((failure.side, content(&sink)), (Some(Side::Sink), Vec::new()));
}

#[test]
fn pipes_and_sockets_have_no_offsets() {
    let (reader, writer) = sys::pipe().unwrap();
    let (socket, _peer) = UnixStream::pair().unwrap();
    let (start, sink_start) = (
        Request { start: Some(0), ..Request::default() },
        Request { sink_start: Some(0), ..Request::default() },
    );
    assert_refused(transfer_with(&reader, &file(b""), start), Errno::SPIPE, "lseek", Side::Source);
    assert_refused(transfer_with(&socket, &file(b""), start), Errno::SPIPE, "lseek", Side::Source);
    assert_refused(transfer_with(&file(b"a"), &writer, sink_start), Errno::SPIPE, "lseek", Side::Sink);
    assert_refused(transfer_with(&file(b"a"), &socket, sink_start), Errno::SPIPE, "lseek", Side::Sink);
}

#[test]
fn sockets_that_carry_no_stream_of_bytes_are_neither() {
    let sockets: [OwnedFd; 3] = [
        UdpSocket::bind("127.0.0.1:0").unwrap().into(),
        UnixDatagram::unbound().unwrap().into(),
        TcpListener::bind("127.0.0.1:0").unwrap().into(),
    ];
    for socket in sockets {
        for (ending, side) in
            [(transfer(&socket, &file(b"")), Side::Source), (transfer(&file(b"some"), &socket), Side::Sink)]
        {
            let failure = ending.unwrap_err();
            assert!(matches!(failure.cause, Cause::Unsupported(_)), "{failure}");
            assert_eq!(failure.side, Some(side));
        }
    }
}

#[test]
fn offsets_that_no_file_can_have_are_refused() {
    let (source, sink) = (file(b"some"), file(b""));
    let request = Request { start: Some(u64::MAX), ..Request::default() };
    assert_refused(transfer_with(&source, &sink, request), Errno::OVERFLOW, "read", Side::Source);
    let request = Request { sink_start: Some(u64::MAX), ..Request::default() };
    assert_refused(transfer_with(&source, &sink, request), Errno::OVERFLOW, "write", Side::Sink);
    assert_eq!(content(&sink).len(), 0);
}

/// What a process may hand down as a descriptor, the kernel decides about: an eventfd is read as a stream.
#[test]
fn what_else_can_be_read_is_read() {
    let bell = sys::EventFd::new().unwrap();
    bell.wake().unwrap();
    let sink = file(b"");
    let request = Request { length: Some(8), ..Request::default() };
    let outcome = transfer_with(&bell.as_fd(), &sink, request);
    assert_eq!(outcome.map(|outcome| outcome.bytes), Ok(8));
    assert_eq!(content(&sink), 1_u64.to_ne_bytes());
}

/// A file in name only, which every call but read(2) takes for a mistake.
#[test]
fn a_regular_file_without_a_position_is_read_as_it_comes() {
    let nonblocking = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let pipes = ["/sys/kernel/tracing/trace_pipe", "/sys/kernel/debug/tracing/trace_pipe"];
    let open = |path| OpenOptions::new().read(true).custom_flags(nonblocking).open(path).ok();
    let Some(source) = pipes.into_iter().find_map(open) else {
        return eprintln!("not run: no trace_pipe to be read here");
    };
    assert_eq!(zcio::Facts::of(&source).unwrap().kind, zcio::Kind::Other);
}
