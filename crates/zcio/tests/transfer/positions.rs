//! Where bytes are taken from and put to: `start` and `sink_start`, and the positions of the descriptors.

use std::fs::File;
use std::io::{Seek, SeekFrom, pipe};
use std::os::unix::fs::FileExt;

use zcio::{Mechanism, Request, transfer_with};

use crate::common::{assert_same, bytes, content, file, file_elsewhere, receive, send, tcp};

const MIB: usize = 1 << 20;

/// Within one file system, from one to another, and within one that lives in memory: these differ in mechanism.
fn pairs() -> [(File, File); 3] {
    let whole = bytes(MIB);
    [
        (file(&whole), file(b"")),
        (file_elsewhere(&whole), file(b"")),
        (file_elsewhere(&whole), file_elsewhere(b"")),
    ]
}

/// python/cpython#150107: 0 is an offset like any other. The source's position stays where it is.
#[test]
fn offset_zero_is_an_offset() {
    for (mut source, sink) in pairs() {
        source.seek(SeekFrom::Start(1000)).unwrap();
        let request = Request { start: Some(0), ..Request::default() };
        let outcome = transfer_with(&source, &sink, request).unwrap();
        assert_eq!(outcome.bytes, MIB as u64);
        assert_same(&content(&sink), &bytes(MIB));
        assert_eq!(source.stream_position().unwrap(), 1000);
    }
}

/// The same for the sink, which has something behind the copy and something before its position.
#[test]
fn sink_offset_zero_is_an_offset() {
    for (source, _) in pairs() {
        let mut sink = file(&vec![b'x'; 2 * MIB]);
        sink.seek(SeekFrom::Start(5)).unwrap();
        let request = Request { sink_start: Some(0), ..Request::default() };
        transfer_with(&source, &sink, request).unwrap();
        assert_same(&content(&sink), &[&bytes(MIB)[..], &vec![b'x'; MIB]].concat());
        assert_eq!(sink.stream_position().unwrap(), 5);
    }
}

#[test]
fn without_offsets_both_positions_are_used_and_moved() {
    for (mut source, mut sink) in pairs() {
        source.seek(SeekFrom::Start(12_345)).unwrap();
        sink.seek(SeekFrom::Start(77)).unwrap();
        let request = Request { length: Some(500_000), ..Request::default() };
        transfer_with(&source, &sink, request).unwrap();
        assert_same(&content(&sink), &[&[0; 77], &bytes(MIB)[12_345..512_345]].concat());
        assert_eq!(source.stream_position().unwrap(), 512_345);
        assert_eq!(sink.stream_position().unwrap(), 500_077);
    }
}

#[test]
fn a_stream_is_written_at_the_position_of_the_sink_or_at_an_offset() {
    for (sink_start, position) in [(None, 77), (Some(77), 5)] {
        let (reader, writer) = pipe().unwrap();
        let sender = send(writer, bytes(MIB));
        let mut sink = file(b"");
        sink.seek(SeekFrom::Start(position)).unwrap();
        let request = Request { sink_start, ..Request::default() };
        transfer_with(&reader, &sink, request).unwrap();
        assert_same(&content(&sink), &[&[0; 77], &bytes(MIB)[..]].concat());
        let moved = if sink_start.is_some() { 0 } else { MIB as u64 };
        assert_eq!(sink.stream_position().unwrap(), position + moved);
        sender.join().unwrap();
    }
}

/// libuv/libuv#3056: the source's offset does not act on the sink. netty/netty#3812, netty/netty#9369: nor is
/// either of them ignored.
#[test]
fn each_offset_acts_on_its_own_end() {
    for (mut source, mut sink) in pairs() {
        let request = Request { start: Some(4097), sink_start: Some(10), ..Request::default() };
        let outcome = transfer_with(&source, &sink, request).unwrap();
        assert_eq!(outcome.bytes, (MIB - 4097) as u64);
        assert_same(&content(&sink), &[&[0; 10], &bytes(MIB)[4097..]].concat());
        assert_eq!((source.stream_position().unwrap(), sink.stream_position().unwrap()), (0, 0));
    }
    for (mut source, mut sink) in pairs() {
        let request = Request { start: Some(4097), ..Request::default() };
        transfer_with(&source, &sink, request).unwrap();
        assert_same(&content(&sink), &bytes(MIB)[4097..]);
        assert_eq!(source.stream_position().unwrap(), 0);
        assert_eq!(sink.stream_position().unwrap(), (MIB - 4097) as u64);
    }
}

/// oven-sh/bun#30059: what is moved is what remains from there, not the size of the file.
#[test]
fn a_file_is_sent_from_where_it_was_asked_for() {
    for (snapshot, mechanism) in [(false, Mechanism::Sendfile), (true, Mechanism::ReadWrite)] {
        for start in [Some(300_001), None] {
            let mut source = file(&bytes(MIB));
            source.seek(SeekFrom::Start(if start.is_some() { 9 } else { 300_001 })).unwrap();
            let (socket, peer) = tcp();
            let received = receive(peer);
            let request = Request { start, length: Some(700_000), snapshot, ..Request::default() };
            let outcome = transfer_with(&source, &socket, request).unwrap();
            drop(socket);
            assert_eq!((outcome.mechanism, outcome.bytes), (mechanism, 700_000));
            assert_same(&received.join().unwrap(), &bytes(MIB)[300_001..1_000_001]);
            let position = if start.is_some() { 9 } else { 1_000_001 };
            assert_eq!(source.stream_position().unwrap(), position);
        }
    }
}

/// netty/netty#3760: offsets have 64 bits.
#[test]
fn offsets_reach_beyond_four_gibibytes() {
    const FAR: u64 = (6 << 30) + 5;
    for source in [file(b""), file_elsewhere(b"")] {
        source.write_all_at(&bytes(MIB), FAR).unwrap();
        let sink = file(b"");
        let request = Request { start: Some(FAR + 1), sink_start: Some(2 * FAR), ..Request::default() };
        assert_eq!(transfer_with(&source, &sink, request).unwrap().bytes, MIB as u64 - 1);
        let mut found = vec![0; MIB - 1];
        sink.read_exact_at(&mut found, 2 * FAR).unwrap();
        assert_same(&found, &bytes(MIB)[1..]);
        assert_eq!(sink.metadata().unwrap().len(), 2 * FAR + MIB as u64 - 1);

        let (socket, peer) = tcp();
        let received = receive(peer);
        let request = Request { start: Some(FAR), ..Request::default() };
        transfer_with(&source, &socket, request).unwrap();
        drop(socket);
        assert_same(&received.join().unwrap(), &bytes(MIB));
    }
}

#[test]
fn past_the_end_there_is_nothing() {
    const LAST: u64 = i64::MAX as u64;
    for (source, sink) in pairs() {
        for start in [MIB as u64, MIB as u64 + 1, 1 << 40, LAST - (1 << 20), LAST - 1, LAST] {
            let request = Request { start: Some(start), ..Request::default() };
            let outcome = transfer_with(&source, &sink, request).unwrap_or_else(|f| panic!("{start}: {f}"));
            assert_eq!(outcome.bytes, 0, "from {start}");

            let (socket, peer) = tcp();
            transfer_with(&source, &socket, request).unwrap_or_else(|f| panic!("{start}: {f}"));
            drop(socket);
            assert_same(&receive(peer).join().unwrap(), b"");
        }
        assert_eq!(content(&sink).len(), 0);
    }
}
