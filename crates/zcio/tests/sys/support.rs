//! What several of these tests need: something to move, and somewhere to move it.

use std::fs::File;
use std::io::{Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};

use zcio::sys::{self, Errno};

/// Bytes of which no two neighbours, no two pages and no two megabytes are alike.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(next).collect()
}

/// A file with this content, its position at the start.
pub(crate) fn file(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file.rewind().unwrap();
    file
}

pub(crate) fn content(file: &File) -> Vec<u8> {
    let mut content = vec![0; usize::try_from(sys::stat(file).unwrap().size).unwrap()];
    let read = sys::pread(file, &mut content, 0).unwrap();
    assert_eq!(read, content.len());
    content
}

/// A pipe with these bytes in it.
pub(crate) fn filled_pipe(content: &[u8]) -> (OwnedFd, OwnedFd) {
    let (reader, writer) = sys::pipe().unwrap();
    assert_eq!(sys::write(&writer, content), Ok(content.len()));
    (reader, writer)
}

/// Fills a nonblocking sink until it takes no more; returns how much it took.
pub(crate) fn fill(sink: impl AsFd) -> usize {
    let page = [b'x'; 4096];
    let mut filled = 0;
    loop {
        match sys::write(&sink, &page) {
            Ok(written) => filled += written,
            Err(Errno::AGAIN) => return filled,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Everything that is there to be read now.
pub(crate) fn drain(source: impl AsFd) -> Vec<u8> {
    let (mut content, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match sys::read(&source, &mut buffer) {
            Ok(0) | Err(Errno::AGAIN) => return content,
            Ok(read) => content.extend_from_slice(&buffer[..read]),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Two ends of one TCP connection.
pub(crate) fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}
