//! Source and sink in one file.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom};

use zcio::sys;
use zcio::{Cause, Request, transfer, transfer_with};

use crate::common::{assert_same, bytes, content, file, file_elsewhere};

const LENGTH: usize = 300_000;

#[test]
fn ranges_that_overlap_are_refused_and_nothing_is_written() {
    for file in [file(&bytes(LENGTH)), file_elsewhere(&bytes(LENGTH))] {
        for (start, sink_start) in [(0, 0), (0, 1), (1, 0), (100_000, 99_999), (0, LENGTH as u64 - 1)] {
            let request = Request { start: Some(start), sink_start: Some(sink_start), ..Request::default() };
            let failure = transfer_with(&file, &file, request).unwrap_err();
            assert!(matches!(failure.cause, Cause::Unsupported(_)), "{start} to {sink_start}: {failure}");
        }
        assert_same(&content(&file), &bytes(LENGTH));
    }
}

#[test]
fn a_pipe_is_not_poured_into_itself() {
    let (reader, writer) = sys::pipe().unwrap();
    sys::write(&writer, b"some").unwrap();
    let failure = transfer(&reader, &writer).unwrap_err();
    assert_eq!(failure.cause, Cause::Unsupported("source and sink are one pipe"));
    assert_eq!(sys::buffered(&reader), Ok(4));
}

/// By another name, so by another descriptor with a position of its own: still the same file.
#[test]
fn a_file_is_not_copied_onto_itself() {
    let named = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(named.path(), bytes(LENGTH)).unwrap();
    let source = File::open(named.path()).unwrap();
    let sink = OpenOptions::new().write(true).open(named.path()).unwrap();
    let failure = transfer(&source, &sink).unwrap_err();
    assert!(matches!(failure.cause, Cause::Unsupported(_)), "{failure}");
    assert_same(&std::fs::read(named.path()).unwrap(), &bytes(LENGTH));
}

#[test]
fn ranges_that_adjoin_are_copied() {
    for file in [file(&bytes(LENGTH)), file_elsewhere(&bytes(LENGTH))] {
        let half = LENGTH as u64 / 2;
        let request = Request { start: Some(half), sink_start: Some(0), ..Request::default() };
        assert_eq!(transfer_with(&file, &file, request).unwrap().bytes, half);
        let half = &bytes(LENGTH)[LENGTH / 2..];
        assert_same(&content(&file), &[half, half].concat());
    }
}

/// It would chase its own tail if the end were where it is when it is reached.
#[test]
fn a_file_is_appended_to_itself_once() {
    for mut file in [file(&bytes(LENGTH)), file_elsewhere(&bytes(LENGTH))] {
        file.seek(SeekFrom::End(0)).unwrap();
        let request = Request { start: Some(0), ..Request::default() };
        assert_eq!(transfer_with(&file, &file, request).unwrap().bytes, LENGTH as u64);
        assert_same(&content(&file), &bytes(LENGTH).repeat(2));
    }
}

#[test]
fn a_file_is_appended_to_itself_once_by_o_append() {
    let named = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(named.path(), bytes(LENGTH)).unwrap();
    let sink = OpenOptions::new().append(true).open(named.path()).unwrap();
    let outcome = transfer(&File::open(named.path()).unwrap(), &sink).unwrap();
    assert_eq!(outcome.bytes, LENGTH as u64);
    assert_same(&std::fs::read(named.path()).unwrap(), &bytes(LENGTH).repeat(2));
}

/// A start behind the end, and a limit behind the end: nothing, and not a number below zero.
#[test]
fn nothing_is_copied_within_a_file_from_behind_its_end() {
    let file = file(&bytes(LENGTH));
    for length in [None, Some(0), Some(u64::MAX)] {
        let request = Request { start: Some(LENGTH as u64 + 7), length, ..Request::default() };
        assert_eq!(transfer_with(&file, &file, request).unwrap().bytes, 0);
    }
    assert_eq!(sys::stat(&file).unwrap().size, LENGTH as u64);
}
