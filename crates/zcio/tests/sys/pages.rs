use std::io::{IoSlice, IoSliceMut};

use zcio::sys::{self, Errno, Pages, SpliceFlags};

use crate::support::{bytes, drain, file, filled_pipe};

const NONBLOCK: SpliceFlags = SpliceFlags::NONBLOCK;

#[test]
fn pages_are_aligned_zeroed_and_as_long_as_asked_for() {
    let mut pages = Pages::new(10_000).unwrap();
    assert_eq!(pages.as_ptr().addr() % sys::page_size(), 0);
    assert_eq!(pages.as_slice(), [0; 10_000]);
    pages.as_mut_slice().fill(7);
    assert_eq!(pages.as_slice(), [7; 10_000]);
    assert_eq!(pages.len(), 10_000);
    assert_eq!(Pages::new(0).err(), Some(Errno::INVAL));
    assert_eq!(Pages::new(usize::MAX).err(), Some(Errno::NOMEM));
}

#[test]
fn a_pipe_keeps_pages_whose_owner_is_gone() {
    let mut pages = Pages::new(3 * sys::page_size()).unwrap();
    let sent = bytes(pages.len());
    pages.as_mut_slice().copy_from_slice(&sent);
    let (reader, writer) = sys::pipe().unwrap();
    let spliced = sys::vmsplice(&writer, &[IoSlice::new(pages.as_slice())], NONBLOCK);
    assert_eq!(spliced, Ok(sent.len()));
    drop(pages);
    // Whatever is mapped next does not get them.
    let mut next = Pages::new(sent.len()).unwrap();
    next.as_mut_slice().fill(0xee);
    assert_eq!(drain(&reader), sent);
}

#[test]
fn a_pipe_that_refers_to_pages_shows_what_is_written_to_them_later() {
    // The trap itself. A kernel that copies would be safe, and is as welcome.
    let mut pages = Pages::new(4).unwrap();
    pages.as_mut_slice().copy_from_slice(b"then");
    let (reader, writer) = sys::pipe().unwrap();
    sys::vmsplice(&writer, &[IoSlice::new(pages.as_slice())], NONBLOCK).unwrap();
    pages.as_mut_slice().copy_from_slice(b"now!");
    assert!([b"then", b"now!"].contains(&drain(&reader).as_slice().try_into().unwrap()));
}

#[test]
fn every_page_touched_takes_a_slot_and_too_many_slices_are_cut() {
    let pages = Pages::new(sys::page_size()).unwrap();
    let (_reader, writer) = sys::pipe().unwrap();
    let slots = sys::pipe_capacity(&writer).unwrap() / sys::page_size();
    let many = vec![IoSlice::new(&pages.as_slice()[..1]); 2000];
    assert_eq!(sys::vmsplice(&writer, &many, NONBLOCK), Ok(slots));
    assert_eq!(sys::vmsplice(file(b""), &many, NONBLOCK), Err(Errno::BADF));
}

#[test]
fn a_reading_end_fills_memory() {
    let (reader, writer) = filled_pipe(b"two halves");
    let (mut one, mut two) = ([0; 4], [0; 8]);
    let mut slices = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
    assert_eq!(sys::vmsplice_read(&reader, &mut slices, NONBLOCK), Ok(10));
    let empty = sys::vmsplice_read(&reader, &mut slices, NONBLOCK);
    assert_eq!(empty, Err(Errno::AGAIN));
    drop(writer);
    assert_eq!(sys::vmsplice_read(&reader, &mut slices, NONBLOCK), Ok(0));
    assert_eq!((&one, &two), (b"two ", b"halves\0\0"));
}
