use std::fs::File;
use std::io::IoSlice;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use zcio::sys::{self, Errno, FileSystem, FileType, OpenFlags, Seals, SpliceFlags, StatusFlags};

use crate::support::{bytes, content, drain, file, filled_pipe};

/// Behind everything 32 bits can count.
const FAR: u64 = 5 << 30;

#[test]
fn sendfile_moves_the_offset_it_is_given_and_not_the_position() {
    let sent = bytes(100_000);
    let (source, sink) = (file(&sent), file(b""));
    let mut offset = 10;
    assert_eq!(sys::sendfile(&sink, &source, Some(&mut offset), 50_000), Ok(50_000));
    assert_eq!(offset, 50_010);
    assert_eq!(sys::seek_position(&source), Ok(0));
    assert_eq!(content(&sink), sent[10..50_010]);
}

#[test]
fn sendfile_without_an_offset_moves_the_position() {
    let source = file(&bytes(10));
    assert_eq!(sys::sendfile(file(b""), &source, None, 4), Ok(4));
    assert_eq!(sys::seek_position(&source), Ok(4));
}

#[test]
fn sendfile_stops_at_the_end_however_much_is_asked_for() {
    let (source, sink) = (file(b"short"), file(b""));
    let mut offset = 0;
    assert_eq!(sys::sendfile(&sink, &source, Some(&mut offset), usize::MAX), Ok(5));
    assert_eq!(sys::sendfile(&sink, &source, Some(&mut offset), usize::MAX), Ok(0));
    assert_eq!(offset, 5);
}

#[test]
fn every_call_reaches_beyond_four_gigabytes() {
    let source = file(b"");
    assert_eq!(sys::pwrite(&source, b"far away", FAR), Ok(8));
    let sink = file(b"");
    let (mut from, mut to) = (FAR, FAR + 100);
    assert_eq!(sys::sendfile(&sink, &source, Some(&mut from), 3), Ok(3));
    let copied = sys::copy_file_range(&source, Some(&mut from), &sink, Some(&mut to), 2);
    assert_eq!(copied, Ok(2));
    let (reader, writer) = sys::pipe().unwrap();
    let none = SpliceFlags::empty();
    assert_eq!(sys::splice(&source, Some(&mut from), &writer, None, 99, none), Ok(3));
    assert_eq!(sys::splice(&reader, None, &sink, Some(&mut to), 99, none), Ok(3));
    assert_eq!((from, to), (FAR + 8, FAR + 105));
    let mut buffer = [0; 6];
    assert_eq!(sys::pread(&sink, &mut buffer, FAR + 100), Ok(5));
    assert_eq!(&buffer, b" away\0");
    assert_eq!(sys::seek_to(&sink, FAR + 102), Ok(FAR + 102));
    assert_eq!(sys::read(&sink, &mut buffer), Ok(3));
    assert_eq!(sys::stat(&sink).unwrap().size, FAR + 105);
}

#[test]
fn an_offset_stays_when_the_call_fails() {
    let (mut from, mut to) = (3, 4);
    let directory = File::open("/").unwrap();
    let refused = sys::copy_file_range(&directory, Some(&mut from), file(b""), Some(&mut to), 1);
    assert_eq!(refused, Err(Errno::ISDIR));
    assert_eq!((from, to), (3, 4));
}

#[test]
fn a_file_that_appends_takes_nothing_but_writes() {
    let directory = tempfile::tempdir().unwrap();
    let flags = OpenFlags::WRONLY | OpenFlags::CREAT | OpenFlags::APPEND;
    let sink = sys::open(directory.path().join("log"), flags, 0o600).unwrap();
    let source = file(b"line");
    let (reader, _writer) = filled_pipe(b"line");
    let none = SpliceFlags::empty();
    assert_eq!(sys::sendfile(&sink, &source, Some(&mut 0), 4), Err(Errno::INVAL));
    assert_eq!(sys::splice(&reader, None, &sink, None, 4, none), Err(Errno::INVAL));
    let copied = sys::copy_file_range(&source, Some(&mut 0), &sink, None, 4);
    assert_eq!(copied, Err(Errno::BADF));
    assert_eq!(sys::write(&sink, b"line"), Ok(4));
    assert_eq!(sys::pwrite(&sink, b"more", 0), Ok(4));
    assert_eq!(std::fs::read(directory.path().join("log")).unwrap(), b"linemore");
}

#[test]
fn copy_file_range_copies_between_positions_where_no_offsets_are_given() {
    let (source, sink) = (file(b"0123456789"), file(b"abcdefghij"));
    sys::seek_to(&source, 2).unwrap();
    sys::seek_to(&sink, 5).unwrap();
    assert_eq!(sys::copy_file_range(&source, None, &sink, None, 3), Ok(3));
    assert_eq!(sys::seek_position(&source), Ok(5));
    assert_eq!(sys::seek_position(&sink), Ok(8));
    assert_eq!(content(&sink), b"abcde234ij");
    assert_eq!(sys::copy_file_range(&source, Some(&mut 10), &sink, None, usize::MAX), Ok(0));
}

#[test]
fn a_reflink_is_refused_or_makes_an_independent_copy() {
    let copied = bytes(64 << 10);
    let (source, sink) = (file(&copied), file(b""));
    if let Err(refused) = sys::reflink(&sink, &source) {
        let names = [Errno::OPNOTSUPP, Errno::INVAL, Errno::NOTTY, Errno::XDEV];
        assert!(names.contains(&refused), "{refused}");
        assert_eq!(sys::reflink_range(&sink, 0, &source, 0, 0), Err(refused));
        return;
    }
    sys::pwrite(&source, b"changed", 0).unwrap();
    assert_eq!(content(&sink), copied);
    sys::reflink_range(&sink, 0, &source, 0, 0).unwrap();
    assert_eq!(content(&sink), content(&source));
}

#[test]
fn slices_are_written_one_behind_the_other_and_too_many_are_cut() {
    let sink = file(b"");
    let slices = [IoSlice::new(b"head, "), IoSlice::new(b""), IoSlice::new(b"body")];
    assert_eq!(sys::write_vectored(&sink, &slices), Ok(10));
    assert_eq!(content(&sink), b"head, body");
    let many = vec![IoSlice::new(b"x"); 2000];
    assert_eq!(sys::write_vectored(&sink, &many), Ok(1024));
}

#[test]
fn what_has_just_been_written_is_resident_unless_the_file_system_cannot_say() {
    let source = file(&bytes(10_000));
    let mut buffer = [0; 100];
    match sys::read_resident(&source, &mut buffer, Some(9_950)) {
        Ok(read) => {
            assert_eq!(buffer[..read], bytes(10_000)[9_950..]);
            assert_eq!(sys::read_resident(&source, &mut buffer, Some(10_000)), Ok(0));
            assert_eq!(sys::seek_position(&source), Ok(0));
            assert_eq!(sys::seek_to(&source, 9_000), Ok(9_000));
            assert_eq!(sys::read_resident(&source, &mut buffer, None), Ok(100));
            assert_eq!(buffer[..], bytes(10_000)[9_000..9_100]);
            assert_eq!(sys::seek_position(&source), Ok(9_100));
        }
        Err(unknown) => assert_eq!(unknown, Errno::OPNOTSUPP),
    }
}

#[test]
fn what_has_been_dropped_from_the_cache_is_refused_or_right() {
    let source = file(&bytes(1 << 20));
    source.sync_all().unwrap();
    sys::advise_dontneed(&source, 0, 0).unwrap();
    let mut buffer = [0; 100];
    // Data, too: now and then a disk is done with reading ahead before the call is.
    if let Err(refused) = sys::read_resident(&source, &mut buffer, Some(500_000)) {
        assert!([Errno::AGAIN, Errno::OPNOTSUPP].contains(&refused), "{refused}");
        assert_eq!(sys::pread(&source, &mut buffer, 500_000), Ok(100));
    }
    assert_eq!(buffer[..], bytes(1 << 20)[500_000..500_100]);
}

#[test]
fn a_file_with_a_hole_tells_where_its_data_is() {
    let sparse = file(b"");
    sys::pwrite(&sparse, b"data", 1 << 20).unwrap();
    sys::truncate(&sparse, 4 << 20).unwrap();
    assert_eq!(sys::seek_data(&sparse, 0), Ok(1 << 20));
    let hole = sys::seek_hole(&sparse, 1 << 20).unwrap();
    assert!(((1 << 20) + 4..2 << 20).contains(&hole));
    assert_eq!(sys::seek_data(&sparse, hole), Err(Errno::NXIO));
    assert_eq!(sys::seek_hole(&sparse, hole + 1), Ok(hole + 1));
    let stat = sys::stat(&sparse).unwrap();
    assert!(stat.blocks * 512 < stat.size);
}

#[test]
fn a_position_is_moved_but_never_before_the_start() {
    let source = file(b"0123456789");
    assert_eq!(sys::seek_by(&source, 7), Ok(7));
    assert_eq!(sys::seek_by(&source, -2), Ok(5));
    assert_eq!(sys::seek_by(&source, -6), Err(Errno::INVAL));
    assert_eq!(sys::seek_position(&source), Ok(5));
    let (reader, _writer) = sys::pipe().unwrap();
    assert_eq!(sys::seek_position(&reader), Err(Errno::SPIPE));
}

#[test]
fn advice_is_taken_by_files_and_refused_by_pipes() {
    let source = file(&bytes(10_000));
    assert_eq!(sys::advise_willneed(&source, 0, 0), Ok(()));
    assert_eq!(sys::advise_dontneed(&source, 0, 10_000), Ok(()));
    let (reader, _writer) = sys::pipe().unwrap();
    assert_eq!(sys::advise_willneed(&reader, 0, 0), Err(Errno::SPIPE));
}

#[test]
fn stat_tells_the_kinds_of_descriptors_apart() {
    let (reader, _writer) = sys::pipe().unwrap();
    let (socket, _peer) = UnixStream::pair().unwrap();
    let others = sys::EventFd::new().unwrap();
    assert_eq!(kind(file(b"")), FileType::Regular);
    assert_eq!(kind(File::open("/").unwrap()), FileType::Directory);
    assert_eq!(kind(reader), FileType::Pipe);
    assert_eq!(kind(socket), FileType::Socket);
    assert_eq!(kind(File::open("/dev/null").unwrap()), FileType::CharDevice);
    assert_eq!(kind(others), FileType::Other);
}

fn kind(fd: impl AsFd) -> FileType {
    sys::stat(fd).unwrap().file_type()
}

#[test]
fn stat_identifies_a_file() {
    let (one, two) = (tempfile::NamedTempFile::new().unwrap(), file(b"12345"));
    let (here, there) = (sys::stat(&one).unwrap(), sys::stat(&two).unwrap());
    assert_eq!(here, sys::stat(File::open(one.path()).unwrap()).unwrap());
    assert_ne!((here.device, here.inode), (there.device, there.inode));
    assert_eq!((here.links, there.links), (1, 0));
    assert_eq!((here.size, there.size), (0, 5));
    assert_eq!(here.mode & 0o7777, 0o600);
    assert!(here.modified.0 > 0 && (0..1_000_000_000).contains(&here.modified.1));
    let null = sys::stat(File::open("/dev/null").unwrap()).unwrap();
    assert_ne!(null.special_device, 0);
}

#[test]
fn file_systems_are_known_by_their_magic() {
    let memfd = sys::memfd(c"test", false).unwrap();
    let (reader, _writer) = sys::pipe().unwrap();
    assert_eq!(sys::file_system(&memfd), Ok(FileSystem::TMPFS));
    assert_eq!(sys::file_system(&reader), Ok(FileSystem::PIPEFS));
    assert_eq!(sys::file_system(File::open("/proc/self/status").unwrap()), Ok(FileSystem::PROC));
    assert_eq!(FileSystem::PROC.name(), Some("proc"));
    assert_eq!(format!("{:?} {:?}", FileSystem::BTRFS, FileSystem(0x77)), "btrfs 0x77");
}

#[test]
fn a_sealed_memfd_can_no_longer_be_changed() {
    let sink = sys::memfd(c"test", true).unwrap();
    sys::write(&sink, b"for ever").unwrap();
    assert_eq!(sys::seals(&sink), Ok(Seals::empty()));
    sys::add_seals(&sink, Seals::WRITE | Seals::SHRINK | Seals::GROW | Seals::SEAL).unwrap();
    let (reader, _writer) = filled_pipe(b"never");
    let spliced = sys::splice(&reader, None, &sink, Some(&mut 0), 5, SpliceFlags::empty());
    assert_eq!(spliced, Err(Errno::PERM));
    assert_eq!(drain(&reader), b"never");
    assert_eq!(sys::seals(sys::memfd(c"test", false).unwrap()), Ok(Seals::SEAL));
    assert_eq!(sys::seals(&reader), Err(Errno::INVAL));
}

#[test]
fn status_flags_tell_what_a_descriptor_is_good_for() {
    let (reader, writer) = sys::pipe().unwrap();
    let (reads, writes) = (sys::status_flags(&reader).unwrap(), sys::status_flags(&writer).unwrap());
    assert_eq!((reads.readable(), reads.writable()), (true, false));
    assert_eq!((writes.readable(), writes.writable()), (false, true));
    assert!(reads.contains(StatusFlags::NONBLOCK) && writes.contains(StatusFlags::NONBLOCK));
    let both = sys::status_flags(file(b"")).unwrap();
    assert_eq!((both.readable(), both.writable()), (true, true));
    assert!(!both.contains(StatusFlags::NONBLOCK));
    let path = sys::status_flags(sys::open("/", OpenFlags::PATH, 0).unwrap()).unwrap();
    assert_eq!((path.readable(), path.writable()), (false, false));
}

#[test]
fn a_duplicate_shares_position_and_flags() {
    let source = file(b"0123456789");
    let twin = sys::duplicate(&source).unwrap();
    sys::seek_to(&twin, 4).unwrap();
    assert_eq!(sys::seek_position(&source), Ok(4));
    let (reader, _writer) = sys::pipe().unwrap();
    sys::set_nonblocking(sys::duplicate(&reader).unwrap(), false).unwrap();
    assert!(!sys::status_flags(&reader).unwrap().contains(StatusFlags::NONBLOCK));
}

#[test]
fn what_is_opened_anew_has_a_position_and_flags_of_its_own() {
    let source = file(b"0123456789");
    sys::seek_to(&source, 4).unwrap();
    let anew = sys::reopen(&source, OpenFlags::empty()).unwrap();
    assert_eq!(sys::seek_position(&anew), Ok(0));
    let (reader, _writer) = sys::pipe().unwrap();
    let blocking = sys::reopen(&reader, OpenFlags::empty()).unwrap();
    assert!(!sys::status_flags(&blocking).unwrap().contains(StatusFlags::NONBLOCK));
    assert!(sys::status_flags(&reader).unwrap().contains(StatusFlags::NONBLOCK));
    let (socket, _peer) = UnixStream::pair().unwrap();
    assert_eq!(sys::reopen(&socket, OpenFlags::empty()).err(), Some(Errno::NXIO));
}
