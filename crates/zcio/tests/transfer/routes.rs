//! Every kind of source into every kind of sink: which mechanism, and the same bytes at the other end.

use std::fs::{self, File};
use std::io::{Read, Write, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use tempfile::NamedTempFile;
use zcio::sys::{self, Errno};
use zcio::{Mechanism, Request, transfer, transfer_with};

use crate::common::{
    assert_same, bytes, content, fallbacks, file, file_elsewhere, file_to_append, receive, send, tcp,
};

/// More than a pipe or a socket holds, and not a whole number of pages.
const LENGTH: usize = 3_000_001;

#[test]
fn a_file_is_cloned_or_copied_by_its_file_system() {
    let (source, sink) = (file(&bytes(LENGTH)), file(b""));
    let outcome = transfer(&source, &sink).unwrap();
    match outcome.mechanism {
        Mechanism::Reflink => assert_eq!(fallbacks(&outcome), []),
        mechanism => {
            assert_eq!(mechanism, Mechanism::CopyFileRange);
            assert_eq!(outcome.fallbacks.len(), 1, "only the clone was refused: {outcome:?}");
        }
    }
    assert_eq!(outcome.bytes, LENGTH as u64);
    assert_same(&content(&sink), &bytes(LENGTH));
}

#[test]
fn a_file_on_another_file_system_goes_by_sendfile() {
    let (source, sink) = (file_elsewhere(&bytes(LENGTH)), file(b""));
    let outcome = transfer(&source, &sink).unwrap();
    assert_eq!(outcome.mechanism, Mechanism::Sendfile);
    assert_eq!(fallbacks(&outcome), [("reflink", "EXDEV"), ("copy_file_range", "EXDEV")]);
    assert_same(&content(&sink), &bytes(LENGTH));
}

/// oven-sh/bun#36758, golang/go#79660: `O_APPEND` is respected, and not cleared to please the kernel.
#[test]
fn a_file_is_appended_by_read_and_write() {
    let (source, mut sink) = (file(&bytes(LENGTH)), file_to_append());
    sink.write_all(b"before").unwrap();
    let outcome = transfer(&source, &sink).unwrap();
    assert_eq!(outcome.mechanism, Mechanism::ReadWrite);
    let names = ["reflink", "copy_file_range", "sendfile", "splice"].map(|name| (name, "O_APPEND"));
    assert_eq!(fallbacks(&outcome), names);
    assert_same(&content(&sink), &[b"before", &bytes(LENGTH)[..]].concat());
    assert!(sys::status_flags(&sink).unwrap().contains(sys::StatusFlags::APPEND));
}

#[test]
fn a_file_goes_to_sockets_by_sendfile_and_to_pipes_by_splice() {
    let sinks = [
        (Sink::tcp(), Mechanism::Sendfile),
        (Sink::unix(), Mechanism::Sendfile),
        (Sink::pipe(), Mechanism::Splice),
    ];
    for (sink, mechanism) in sinks {
        let outcome = transfer(&file(&bytes(LENGTH)), &sink.fd).unwrap();
        assert_eq!((outcome.mechanism, outcome.bytes), (mechanism, LENGTH as u64), "{}", sink.name);
        assert_eq!(fallbacks(&outcome), []);
        assert_same(&sink.end(), &bytes(LENGTH));
    }
}

/// oven-sh/bun#36692, oven-sh/bun#14054: not one pair of the matrix is left out.
#[test]
fn every_source_reaches_every_sink() {
    let sources = [Source::file, Source::elsewhere, Source::pipe, Source::unix, Source::tcp];
    let sinks = [Sink::file, Sink::append, Sink::pipe, Sink::unix, Sink::tcp];
    for source in sources {
        for sink in sinks {
            let (source, sink) = (source(), sink());
            let pair = format!("{} to {}", source.name, sink.name);
            let outcome =
                transfer(&source.fd, &sink.fd).unwrap_or_else(|failure| panic!("{pair}: {failure}"));
            assert_eq!(outcome.bytes, LENGTH as u64, "{pair}");
            assert_eq!(outcome.residual, b"", "{pair}");
            assert_same(&sink.end(), &bytes(LENGTH));
            source.end();
        }
    }
}

/// oven-sh/bun#38498: whoever made the pipe nonblocking, a full one is waited for and not an error.
/// golang/go#28330: and it stays nonblocking, as the others stay blocking.
#[test]
fn nonblocking_ends_are_waited_for_and_keep_their_flags() {
    let (reader, writer) = sys::pipe().unwrap();
    let (unix, peer) = UnixStream::pair().unwrap();
    unix.set_nonblocking(true).unwrap();
    let before = [sys::status_flags(&reader), sys::status_flags(&writer), sys::status_flags(&unix)];

    let relay = std::thread::spawn(move || (transfer(&reader, &unix).unwrap(), reader, unix));
    let received = std::thread::spawn(move || slowly(peer));
    transfer(&file(&bytes(LENGTH)), &writer).unwrap();
    let writer_after = sys::status_flags(&writer);
    drop(writer);
    let (outcome, reader, unix) = relay.join().unwrap();
    let after = [sys::status_flags(&reader), writer_after, sys::status_flags(&unix)];
    drop(unix);

    assert_eq!(outcome.bytes, LENGTH as u64);
    assert_same(&received.join().unwrap(), &bytes(LENGTH));
    assert_eq!(after, before);
}

fn slowly(mut source: UnixStream) -> Vec<u8> {
    let (mut received, mut buffer) = (Vec::new(), vec![0; 100_000]);
    loop {
        match source.read(&mut buffer).unwrap() {
            0 => return received,
            read => received.extend_from_slice(&buffer[..read]),
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// `fs.copyFile` makes an empty file of them, since they say that they are empty.
#[test]
fn files_of_proc_and_sys_arrive_whole() {
    for path in
        ["/proc/version", "/proc/self/cmdline", "/proc/self/limits", "/sys/devices/system/cpu/possible"]
    {
        let (expected, sink, source) = (fs::read(path).unwrap(), file(b""), File::open(path).unwrap());
        let outcome = transfer(&source, &sink).unwrap();
        assert_eq!(outcome.bytes, expected.len() as u64, "{path} by {:?}", outcome.mechanism);
        assert_same(&content(&sink), &expected);

        let (socket, peer) = UnixStream::pair().unwrap();
        transfer(&File::open(path).unwrap(), &socket).unwrap();
        drop(socket);
        assert_same(&receive(peer).join().unwrap(), &expected);
    }
}

/// sendfile(2) does not know how to read these, and says EINVAL.
#[test]
fn a_file_the_kernel_cannot_send_is_copied() {
    let (sink, source) = (file(b""), File::open("/proc/self/limits").unwrap());
    let outcome = transfer(&source, &sink).unwrap();
    assert_eq!(outcome.mechanism, Mechanism::ReadWrite);
    let (_, refusal) = fallbacks(&outcome).pop().unwrap();
    assert_eq!(refusal, Errno::INVAL.name());
}

/// A file that goes round the page cache wants memory aligned to its blocks, and may end within one.
#[test]
fn a_file_opened_with_o_direct_is_copied() {
    let named = NamedTempFile::new().unwrap();
    fs::write(named.path(), bytes(LENGTH)).unwrap();
    let source = match sys::open(named.path(), sys::OpenFlags::DIRECT, 0) {
        // tmpfs before Linux 6.6.
        Err(Errno::INVAL) => return eprintln!("not run: no O_DIRECT on this file system"),
        source => source.unwrap(),
    };
    for range in [0..LENGTH, 0..1000, 10..LENGTH, 4096..5000] {
        for sink in [Sink::file(), Sink::unix()] {
            let length = Some(range.len() as u64);
            let request = Request { start: Some(range.start as u64), length, ..Request::default() };
            let outcome = transfer_with(&source, &sink.fd, request).unwrap();
            assert!(fallbacks(&outcome).contains(&("sendfile", "O_DIRECT")), "{outcome:?}");
            assert_same(&sink.end(), &bytes(LENGTH)[range.clone()]);
        }
    }
    // By its position, which then is between two blocks.
    let request = Request { length: Some(1000), ..Request::default() };
    let sink = file(b"");
    for position in [1000, 2000] {
        assert_eq!(transfer_with(&source, &sink, request).unwrap().bytes, 1000);
        assert_eq!(sys::seek_position(&source), Ok(position));
    }
    assert_same(&content(&sink), &bytes(LENGTH)[..2000]);
}

/// What is written to such a file does not fill its last block.
#[test]
fn a_file_opened_with_o_direct_takes_what_does_not_end_with_a_block() {
    for flags in [sys::OpenFlags::WRONLY, sys::OpenFlags::WRONLY | sys::OpenFlags::APPEND] {
        let named = NamedTempFile::new().unwrap();
        let sink = match sys::open(named.path(), flags | sys::OpenFlags::DIRECT, 0) {
            Err(Errno::INVAL) => return eprintln!("not run: no O_DIRECT on this file system"),
            sink => sink.unwrap(),
        };
        assert_eq!(transfer(&file(&bytes(100_000)), &sink).unwrap().bytes, 100_000);
        assert_eq!(transfer(&file(b"the rest"), &sink).unwrap().bytes, 8);
        assert_same(&fs::read(named.path()).unwrap(), &[&bytes(100_000)[..], b"the rest"].concat());
    }
}

#[test]
fn devices_are_sources_and_sinks() {
    let zero = File::open("/dev/zero").unwrap();
    let sink = file(b"");
    let request = Request { length: Some(200_000), ..Request::default() };
    let outcome = transfer_with(&zero, &sink, request).unwrap();
    assert_eq!(outcome.mechanism, Mechanism::Splice);
    assert_same(&content(&sink), &vec![0; 200_000]);

    let null = File::create("/dev/null").unwrap();
    assert_eq!(transfer(&file(&bytes(LENGTH)), &null).unwrap().bytes, LENGTH as u64);
    assert_eq!(transfer(&File::open("/dev/null").unwrap(), &sink).unwrap().bytes, 0);
}

/// Something that holds [`bytes`], or is about to.
struct Source {
    name: &'static str,
    fd: OwnedFd,
    writer: Option<JoinHandle<()>>,
}

impl Source {
    fn new(name: &'static str, fd: impl Into<OwnedFd>, writer: Option<JoinHandle<()>>) -> Self {
        Self { name, fd: fd.into(), writer }
    }

    fn file() -> Self {
        Self::new("file", file(&bytes(LENGTH)), None)
    }

    fn elsewhere() -> Self {
        Self::new("memfd", file_elsewhere(&bytes(LENGTH)), None)
    }

    fn pipe() -> Self {
        let (reader, writer) = pipe().unwrap();
        Self::new("pipe", reader, Some(send(writer, bytes(LENGTH))))
    }

    fn unix() -> Self {
        let (socket, peer) = UnixStream::pair().unwrap();
        Self::new("unix", socket, Some(send(peer, bytes(LENGTH))))
    }

    fn tcp() -> Self {
        let (socket, peer) = tcp();
        Self::new("tcp", socket, Some(send(peer, bytes(LENGTH))))
    }

    fn end(self) {
        if let Some(writer) = self.writer {
            writer.join().unwrap();
        }
    }
}

/// Something to write to, and a way to learn what arrived.
struct Sink {
    name: &'static str,
    fd: OwnedFd,
    reader: Option<JoinHandle<Vec<u8>>>,
}

impl Sink {
    fn new(name: &'static str, fd: impl Into<OwnedFd>, reader: Option<JoinHandle<Vec<u8>>>) -> Self {
        Self { name, fd: fd.into(), reader }
    }

    fn file() -> Self {
        Self::new("file", file(b""), None)
    }

    fn append() -> Self {
        Self::new("O_APPEND file", file_to_append(), None)
    }

    fn pipe() -> Self {
        let (reader, writer) = pipe().unwrap();
        Self::new("pipe", writer, Some(receive(reader)))
    }

    fn unix() -> Self {
        let (socket, peer) = UnixStream::pair().unwrap();
        Self::new("unix", socket, Some(receive(peer)))
    }

    fn tcp() -> Self {
        let (socket, peer) = tcp();
        Self::new("tcp", socket, Some(receive(peer)))
    }

    /// Closes it and returns what had arrived.
    fn end(self) -> Vec<u8> {
        let Some(reader) = self.reader else { return content(&File::from(self.fd)) };
        drop(self.fd);
        reader.join().unwrap()
    }
}
