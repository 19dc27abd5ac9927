use std::io::{IoSlice, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use zcio::sys::{self, Errno, SpliceFlags};

use crate::support::{bytes, content, drain, file, fill, filled_pipe, tcp};

const NONE: SpliceFlags = SpliceFlags::empty();
const NONBLOCK: SpliceFlags = SpliceFlags::NONBLOCK;

#[test]
fn a_new_pipe_waits_for_nobody() {
    let (reader, writer) = sys::pipe().unwrap();
    assert_eq!(sys::read(&reader, &mut [0]), Err(Errno::AGAIN));
    let capacity = sys::pipe_capacity(&reader).unwrap();
    assert_eq!(fill(&writer), capacity);
    assert_eq!(sys::write(&writer, b"x"), Err(Errno::AGAIN));
    drop(writer);
    assert_eq!(drain(&reader).len(), capacity);
    assert_eq!(sys::read(&reader, &mut [0]), Ok(0));
}

#[test]
fn a_capacity_is_rounded_up_to_a_power_of_two_pages() {
    let (reader, writer) = sys::pipe().unwrap();
    let page = sys::page_size();
    for (wanted, given) in [(0, page), (1, page), (page + 1, 2 * page), (5 * page, 8 * page)] {
        assert_eq!(sys::set_pipe_capacity(&reader, wanted), Ok(given));
        assert_eq!(sys::pipe_capacity(&writer), Ok(given));
    }
    assert_eq!(sys::set_pipe_capacity(&reader, usize::MAX), Err(Errno::INVAL));
    assert_eq!(sys::pipe_capacity(file(b"")), Err(Errno::BADF));
    fill(&writer);
    assert_eq!(sys::set_pipe_capacity(&reader, page), Err(Errno::BUSY));
}

#[test]
fn what_waits_in_a_pipe_is_counted_from_either_end() {
    let (reader, writer) = filled_pipe(&[7; 1234]);
    assert_eq!(sys::buffered(&reader), Ok(1234));
    assert_eq!(sys::buffered(&writer), Ok(1234));
    sys::read(&reader, &mut [0; 1000]).unwrap();
    assert_eq!(sys::buffered(&reader), Ok(234));
}

#[test]
fn splice_moves_the_offset_of_the_side_that_has_one() {
    let moved = bytes(30_000);
    let (source, sink) = (file(&moved), file(b""));
    let (reader, writer) = sys::pipe().unwrap();
    let (mut from, mut to) = (5_000, 100);
    assert_eq!(sys::splice(&source, Some(&mut from), &writer, None, 20_000, NONE), Ok(20_000));
    assert_eq!(sys::splice(&reader, None, &sink, Some(&mut to), 99_999, NONE), Ok(20_000));
    assert_eq!((from, to), (25_000, 20_100));
    assert_eq!(sys::seek_position(&source), Ok(0));
    assert_eq!(content(&sink)[100..], moved[5_000..25_000]);
    assert_eq!(sys::splice(&source, Some(&mut 30_000), &writer, None, 1, NONE), Ok(0));
}

#[test]
fn splice_refuses_what_makes_no_sense() {
    let (reader, writer) = filled_pipe(b"x");
    let (one, two) = (file(b"x"), file(b"x"));
    assert_eq!(sys::splice(&one, None, &two, None, 1, NONE), Err(Errno::INVAL));
    assert_eq!(sys::splice(&reader, None, &writer, None, 1, NONE), Err(Errno::INVAL));
    assert_eq!(sys::splice(&reader, Some(&mut 0), &one, None, 1, NONE), Err(Errno::SPIPE));
    let unknown = SpliceFlags::from_bits_retain(1 << 30);
    assert_eq!(sys::splice(&reader, None, &one, None, 1, unknown), Err(Errno::INVAL));
    assert_eq!(sys::splice(&one, None, &two, None, 0, NONE), Ok(0));
}

#[test]
fn splice_says_again_both_for_an_empty_source_and_for_a_full_sink() {
    let (empty, _writer) = sys::pipe().unwrap();
    let (_reader, sink) = sys::pipe().unwrap();
    assert_eq!(sys::splice(&empty, None, &sink, None, 1, NONBLOCK), Err(Errno::AGAIN));
    let (full, _writer) = filled_pipe(b"x");
    fill(&sink);
    assert_eq!(sys::splice(&full, None, &sink, None, 1, NONBLOCK), Err(Errno::AGAIN));
}

#[test]
fn a_pipe_counts_slots_and_not_bytes() {
    let (mut peer, source) = UnixStream::pair().unwrap();
    source.set_nonblocking(true).unwrap();
    let (reader, writer) = sys::pipe().unwrap();
    let slots = sys::pipe_capacity(&writer).unwrap() / sys::page_size();
    for _ in 0..slots {
        peer.write_all(b"x").unwrap();
        assert_eq!(sys::splice(&source, None, &writer, None, 1, NONBLOCK), Ok(1));
    }
    peer.write_all(b"y").unwrap();
    let one_more = sys::splice(&source, None, &writer, None, 1, NONBLOCK);
    assert_eq!(one_more, Err(Errno::AGAIN));
    assert_eq!(sys::buffered(&reader), Ok(slots));
}

#[test]
fn a_length_beyond_all_measure_is_cut_and_not_refused() {
    let (mut peer, source) = tcp();
    peer.write_all(b"hello").unwrap();
    let (reader, writer) = sys::pipe().unwrap();
    assert_eq!(sys::splice(&source, None, &writer, None, usize::MAX, NONE), Ok(5));
    let (twin, sink) = sys::pipe().unwrap();
    assert_eq!(sys::tee(&reader, &sink, usize::MAX, NONBLOCK), Ok(5));
    assert_eq!((drain(reader), drain(twin)), (b"hello".to_vec(), b"hello".to_vec()));
}

#[test]
fn splice_ends_with_the_last_writer_or_the_peers_half() {
    let (peer, source) = tcp();
    drop(peer);
    let (reader, writer) = sys::pipe().unwrap();
    assert_eq!(sys::splice(&source, None, &writer, None, 1, NONE), Ok(0));
    drop(writer);
    let (_other, sink) = sys::pipe().unwrap();
    assert_eq!(sys::splice(&reader, None, &sink, None, 1, NONBLOCK), Ok(0));
}

#[test]
fn bytes_that_a_broken_sink_refused_are_still_in_the_pipe() {
    let (reader, _writer) = filled_pipe(b"kept");
    let (gone, sink) = sys::pipe().unwrap();
    drop(gone);
    let refused = sys::splice(&reader, None, &sink, None, 4, NONBLOCK);
    assert_eq!(refused, Err(Errno::PIPE));
    assert_eq!(drain(&reader), b"kept");
}

#[test]
fn tee_consumes_nothing_and_repeats_itself() {
    let (reader, writer) = filled_pipe(b"again and ");
    let (twin, sink) = sys::pipe().unwrap();
    for _ in 0..2 {
        assert_eq!(sys::tee(&reader, &sink, 100, NONBLOCK), Ok(10));
    }
    assert_eq!(drain(&twin), b"again and again and ");
    assert_eq!(drain(&reader), b"again and ");
    assert_eq!(sys::tee(&reader, &sink, 100, NONBLOCK), Err(Errno::AGAIN));
    drop(writer);
    assert_eq!(sys::tee(&reader, &sink, 100, NONBLOCK), Ok(0));
    assert_eq!(sys::tee(file(b"x"), &sink, 1, NONBLOCK), Err(Errno::INVAL));
}

#[test]
fn tee_copies_no_more_than_the_sink_has_slots() {
    let (reader, writer) = sys::pipe().unwrap();
    fill(&writer);
    let (_twin, sink) = sys::pipe().unwrap();
    let room = sys::set_pipe_capacity(&sink, 2 * sys::page_size()).unwrap();
    assert_eq!(sys::tee(&reader, &sink, usize::MAX, NONBLOCK), Ok(room));
}

#[test]
fn vmsplice_looks_at_its_flag_and_not_at_the_pipe() {
    let (reader, writer) = sys::pipe().unwrap();
    fill(&writer);
    let page = [IoSlice::new(b"waited")];
    let mut slot = vec![0; sys::page_size()];
    assert_eq!(sys::vmsplice(&writer, &page, NONBLOCK), Err(Errno::AGAIN));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| sys::vmsplice(&writer, &page, NONE));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        // A slot is free only when all of its page has been read.
        assert_eq!(sys::read(&reader, &mut slot), Ok(slot.len()));
        assert_eq!(waiting.join().unwrap(), Ok(6));
    });
    assert!(drain(&reader).ends_with(b"waited"));
}
