//! Every pair of ends, in the sizes at which a loop goes wrong.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::fd::AsFd;

use zcio::{Mechanism, Request, transfer, transfer_with};

use crate::common::ends::{Of, Sink, Source};
use crate::common::{
    assert_same, bytes, content, fallbacks, file, file_elsewhere, file_to_append, receive, tcp,
};

/// Nothing, one, less than a page, a page, more than a pipe, and many pipes and a bit.
const LENGTHS: [usize; 6] = [0, 1, 4095, 4096, 65_537, (8 << 20) + 3];

/// What moves bytes between two ends where nothing stands against it; files are on different file systems.
fn expected(source: Of, sink: Of) -> Mechanism {
    match (source, sink) {
        (Of::File, Of::File | Of::Tcp | Of::Unix) => Mechanism::Sendfile,
        _ => Mechanism::Splice,
    }
}

#[test]
fn every_pair_moves_every_length_by_the_best_mechanism() {
    for source in Of::ALL {
        for sink in Of::ALL {
            for length in LENGTHS {
                let (from, to) = (Source::new(source, bytes(length)), Sink::new(sink));
                let what = format!("{length} bytes from {source:?} to {sink:?}");
                let outcome = transfer(&from, &to).unwrap_or_else(|failure| panic!("{what}: {failure}"));
                assert_eq!(outcome.bytes, length as u64, "{what}");
                let empty_file = length == 0 && source == Of::File;
                if !empty_file {
                    assert_eq!(
                        outcome.mechanism,
                        expected(source, sink),
                        "{what}: {:?}",
                        fallbacks(&outcome)
                    );
                }
                assert_same(&to.end(), &bytes(length));
                from.end();
            }
        }
    }
}

/// A position moves exactly where no offset was given, and by what arrived.
#[test]
fn files_at_either_end_are_left_where_they_should_be() {
    const LENGTH: usize = 300_001;
    for of in [Of::Pipe, Of::Tcp, Of::Unix] {
        for offset in [None, Some(77)] {
            let (from, mut sink) = (Source::new(of, bytes(LENGTH)), file(b"x"));
            sink.seek(SeekFrom::Start(77)).unwrap();
            transfer_with(&from, &sink, Request { sink_start: offset, ..Request::default() }).unwrap();
            assert_same(&content(&sink)[77..], &bytes(LENGTH));
            let moved = if offset.is_some() { 0 } else { LENGTH as u64 };
            assert_eq!(sink.stream_position().unwrap(), 77 + moved, "{of:?} to a file");
            from.end();

            let (mut source, to) = (file(&bytes(LENGTH)), Sink::new(of));
            source.seek(SeekFrom::Start(77)).unwrap();
            let request = Request { start: offset, length: Some(100_000), ..Request::default() };
            transfer_with(&source, &to, request).unwrap();
            assert_same(&to.end(), &bytes(LENGTH)[77..100_077]);
            let moved = if offset.is_some() { 0 } else { 100_000 };
            assert_eq!(source.stream_position().unwrap(), 77 + moved, "a file to {of:?}");
        }
    }
}

/// sendfile(2) cannot write at an offset; a pipe between the two can.
#[test]
fn a_file_is_relayed_to_an_offset_of_another_file_system() {
    let (mut source, mut sink) = (file_elsewhere(&bytes(1_000_003)), file(b""));
    let request = Request { sink_start: Some(5), ..Request::default() };
    let outcome = transfer_with(&source, &sink, request).unwrap();
    assert_eq!((outcome.mechanism, outcome.bytes), (Mechanism::Splice, 1_000_003));
    assert_same(&content(&sink)[5..], &bytes(1_000_003));
    assert_eq!((source.stream_position().unwrap(), sink.stream_position().unwrap()), (1_000_003, 0));
}

/// hanyu-dev/tokio-splice2 counted twice and ended early after the second chunk.
#[test]
fn a_limit_spans_many_fills_of_the_pipe_and_leaves_the_rest() {
    let (whole, limit) = (bytes(6 << 20), (5 << 20) + 3);
    for (source, sink) in
        [(Of::Tcp, Of::Unix), (Of::Unix, Of::File), (Of::Pipe, Of::Tcp), (Of::Unix, Of::Pipe)]
    {
        let (from, to) = (Source::new(source, whole.clone()), Sink::new(sink));
        let request = Request { length: Some(limit as u64), ..Request::default() };
        let outcome = transfer_with(&from, &to, request).unwrap();
        assert_eq!((outcome.mechanism, outcome.bytes), (Mechanism::Splice, limit as u64));
        assert_same(&to.end(), &whole[..limit]);
        let rest = receive(File::from(from.as_fd().try_clone_to_owned().unwrap()));
        assert_same(&rest.join().unwrap(), &whole[limit..]);
        from.end();
    }
}

#[test]
fn what_the_kernel_would_refuse_or_show_later_is_copied_and_says_why() {
    for of in [Of::Pipe, Of::Tcp, Of::Unix] {
        let (from, sink) = (Source::new(of, bytes(300_001)), file_to_append());
        let outcome = transfer(&from, &sink).unwrap();
        assert_eq!(outcome.mechanism, Mechanism::ReadWrite);
        assert_eq!(fallbacks(&outcome), [("splice", "O_APPEND")]);
        assert_same(&content(&sink), &bytes(300_001));
        from.end();
    }
    let (sink, snapshot) = (Sink::new(Of::Pipe), Request { snapshot: true, ..Request::default() });
    let outcome = transfer_with(&file(&bytes(300_001)), &sink, snapshot).unwrap();
    assert_eq!(
        (outcome.mechanism, fallbacks(&outcome)),
        (Mechanism::ReadWrite, vec![("splice", "SNAPSHOT")])
    );
    assert_same(&sink.end(), &bytes(300_001));
    // Nobody can write to what is in a socket: it is a snapshot already.
    let (source, (sink, _peer)) = (Source::new(Of::Unix, bytes(30_001)), tcp());
    assert_eq!(transfer_with(&source, &sink, snapshot).unwrap().mechanism, Mechanism::Splice);
}
