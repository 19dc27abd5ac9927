//! `length`, `fallback` and `snapshot`.

use std::fs::File;
use std::io::{Read, Write, pipe};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;

use zcio::drivers::blocking::drive;
use zcio::{Cause, Endpoint, Failure, Mechanism, Request, Transfer, transfer_with};

use crate::common::{
    assert_same, bytes, content, fallbacks, file, file_elsewhere, file_to_append, receive, send, tcp,
};

const MIB: usize = 1 << 20;

fn at_most(length: usize) -> Request {
    Request { length: Some(length as u64), ..Request::default() }
}

/// hanyu-dev/tokio-splice2 counted twice and ended early after the second chunk.
#[test]
fn a_limit_spans_many_calls() {
    let whole = bytes(12 * MIB);
    let limit = 10 * MIB + 3;

    let (socket, peer) = tcp();
    let received = receive(peer);
    let outcome = transfer_with(&file(&whole), &socket, at_most(limit)).unwrap();
    drop(socket);
    assert_eq!((outcome.mechanism, outcome.bytes), (Mechanism::Sendfile, limit as u64));
    assert_same(&received.join().unwrap(), &whole[..limit]);

    let (reader, writer) = pipe().unwrap();
    let sender = send(writer, whole.clone());
    let sink = file(b"");
    let outcome = transfer_with(&reader, &sink, at_most(limit)).unwrap();
    assert_eq!((outcome.mechanism, outcome.bytes), (Mechanism::Splice, limit as u64));
    assert_same(&content(&sink), &whole[..limit]);
    // What was not asked for is still in the pipe.
    let mut rest = Vec::new();
    (&reader).read_to_end(&mut rest).unwrap();
    assert_same(&rest, &whole[limit..]);
    sender.join().unwrap();
}

/// A pipe is not worth finding for them, unless it is the only way that does not copy; and where an end is one, it is there.
#[test]
fn a_few_bytes_are_not_relayed_through_a_pipe() {
    let whole = bytes(17 << 10);
    let short = 16 << 10;
    let (source, mut peer) = UnixStream::pair().unwrap();
    let (mut reader, writer) = pipe().unwrap();
    let sink = file(b"");
    let mut move_to = |sink: &dyn AsFd, request: Request| {
        peer.write_all(&whole).unwrap();
        let outcome = transfer_with(&source, &sink.as_fd(), request).unwrap();
        let mut rest = vec![0; whole.len() - usize::try_from(outcome.bytes).unwrap()];
        (&source).read_exact(&mut rest).unwrap();
        assert_same(&rest, &whole[usize::try_from(outcome.bytes).unwrap()..]);
        outcome
    };
    let outcome = move_to(&sink, at_most(short));
    assert_eq!((outcome.mechanism, outcome.bytes), (Mechanism::ReadWrite, short as u64));
    assert_eq!(fallbacks(&outcome), [("splice", "SHORT")]);
    assert_eq!(move_to(&sink, at_most(short + 1)).mechanism, Mechanism::Splice);
    assert_eq!(move_to(&sink, Request { fallback: false, ..at_most(short) }).mechanism, Mechanism::Splice);
    assert_eq!(move_to(&writer, at_most(short)).mechanism, Mechanism::Splice);
    let thrice = [&whole[..short], &whole[..=short], &whole[..short]].concat();
    assert_same(&content(&sink), &thrice);
    let mut piped = vec![0; short];
    reader.read_exact(&mut piped).unwrap();
    assert_same(&piped, &whole[..short]);
}

/// One call between files moves at most 32 MiB.
#[test]
fn a_limit_between_files_spans_several_turns() {
    let whole = bytes(40 * MIB);
    for source in [file(&whole), file_elsewhere(&whole)] {
        let (sink, limit) = (file(b""), 39 * MIB + 1);
        let outcome = transfer_with(&source, &sink, at_most(limit)).unwrap();
        assert_eq!(outcome.bytes, limit as u64);
        assert_same(&content(&sink), &whole[..limit]);
    }
}

/// oven-sh/bun#36758: not a byte more than was asked for, and what the sink had behind it stays.
#[test]
fn a_longer_sink_keeps_its_tail() {
    for source in [file(&bytes(MIB)), file_elsewhere(&bytes(MIB))] {
        let mut sink = file(&vec![b'x'; 2 * MIB]);
        let outcome = transfer_with(&source, &sink, at_most(300_000)).unwrap();
        assert_eq!(outcome.bytes, 300_000);
        assert_same(&content(&sink), &[&bytes(MIB)[..300_000], &vec![b'x'; 2 * MIB - 300_000]].concat());
        // And the next write goes behind what was copied.
        sink.write_all(b"here").unwrap();
        assert_same(&content(&sink)[300_000..300_004], b"here");
    }
}

#[test]
fn zero_bytes_are_moved_at_once() {
    let (reader, _writer) = pipe().unwrap();
    for source in [reader.into(), std::os::fd::OwnedFd::from(file(b"content"))] {
        let sink = file(b"");
        let outcome = transfer_with(&source, &sink, at_most(0)).unwrap();
        assert_eq!((outcome.bytes, content(&sink).len()), (0, 0));
    }
}

#[test]
fn a_limit_beyond_the_end_is_no_promise() {
    let (source, sink) = (file(&bytes(MIB)), file(b""));
    let outcome = transfer_with(&source, &sink, at_most(usize::MAX >> 1)).unwrap();
    assert_eq!(outcome.bytes, MIB as u64);
    assert_same(&content(&sink), &bytes(MIB));
}

#[test]
fn without_fallback_nothing_is_copied() {
    let strict = Request { fallback: false, ..Request::default() };
    let (mut reader, mut writer) = pipe().unwrap();
    writer.write_all(b"still here").unwrap();
    drop(writer);
    assert_copy_required(transfer_with(&reader, &file_to_append(), strict), &[("splice", "O_APPEND")]);
    let mut kept = String::new();
    reader.read_to_string(&mut kept).unwrap();
    assert_eq!(kept, "still here");

    let ruled_out = ["reflink", "copy_file_range", "sendfile", "splice"].map(|name| (name, "O_APPEND"));
    assert_copy_required(transfer_with(&file(b"some"), &file_to_append(), strict), &ruled_out);

    // Here only the kernel knows that sendfile(2) cannot.
    let (socket, _peer) = UnixStream::pair().unwrap();
    let refused = transfer_with(&File::open("/proc/self/limits").unwrap(), &socket, strict);
    assert_copy_required(refused, &[("sendfile", "EINVAL")]);
}

#[test]
fn without_fallback_what_the_kernel_can_move_is_moved() {
    let strict = Request { fallback: false, ..Request::default() };
    let (socket, peer) = tcp();
    let received = receive(peer);
    assert_eq!(transfer_with(&file(&bytes(MIB)), &socket, strict).unwrap().bytes, MIB as u64);
    drop(socket);
    assert_same(&received.join().unwrap(), &bytes(MIB));

    let sink = file(b"");
    transfer_with(&file_elsewhere(&bytes(MIB)), &sink, strict).unwrap();
    assert_same(&content(&sink), &bytes(MIB));
}

#[track_caller]
fn assert_copy_required(ending: zcio::Ending, because: &[(&str, &str)]) {
    let Failure { cause, side, outcome } = ending.unwrap_err();
    assert_eq!((cause, side), (Cause::CopyRequired, None));
    assert_eq!(fallbacks(&outcome), because);
    assert_eq!((outcome.bytes, outcome.residual.len()), (0, 0));
}

/// rust-lang/rust#116451, rust-lang/rust#108283: pages sent by reference show later writes; a snapshot does not.
#[test]
fn a_snapshot_does_not_show_later_writes() {
    let snapshot = Request { snapshot: true, ..Request::default() };
    let source = file(&bytes(60_000));
    let (reader, writer) = pipe().unwrap();
    let outcome = transfer_with(&source, &writer, snapshot).unwrap();
    assert_eq!(outcome.mechanism, Mechanism::ReadWrite);
    assert_eq!(fallbacks(&outcome), [("splice", "SNAPSHOT")]);

    source.write_all_at(&vec![b'!'; 60_000], 0).unwrap();
    drop(writer);
    assert_same(&receive(reader).join().unwrap(), &bytes(60_000));
}

/// Between files there is a copy whichever way, so a snapshot need not avoid any.
#[test]
fn a_snapshot_between_files_is_the_best_copy_there_is() {
    let snapshot = Request { snapshot: true, ..Request::default() };
    let (source, sink) = (file(&bytes(MIB)), file(b""));
    let outcome = transfer_with(&source, &sink, snapshot).unwrap();
    assert_ne!(outcome.mechanism, Mechanism::ReadWrite);
    source.write_all_at(&[b'!'; 100], 0).unwrap();
    assert_same(&content(&sink), &bytes(MIB));
}

/// A head counts as moved, and has not been cloned.
#[test]
fn a_head_comes_before_a_whole_file() {
    for sink in [file(b""), file_elsewhere(b"")] {
        let source = file(b"and body");
        let request = Request { start: Some(0), ..Request::default() };
        let ends = [&source, &sink].map(|file| Endpoint::of(file.as_fd()).unwrap());
        let [from, to] = ends;
        let transfer = Transfer::new(from, to, request).unwrap().with_head(b"head ".to_vec());
        assert_eq!(drive(transfer).unwrap().bytes, 13);
        assert_eq!(content(&sink), b"head and body");
    }
}
