//! Sources and sinks of every kind: something that holds what it is told to, and something to write to.

use std::fs::File;
use std::io::pipe;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use zcio::sys;

use super::{content, file, file_elsewhere, receive, send, tcp};

/// The four that the matrices walk. Files of both ends are on different file systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    File,
    Pipe,
    Tcp,
    Unix,
}

impl Of {
    pub const ALL: [Self; 4] = [Self::File, Self::Pipe, Self::Tcp, Self::Unix];
}

/// Something that holds bytes, or is about to.
pub struct Source {
    pub fd: OwnedFd,
    writer: Option<JoinHandle<()>>,
}

impl Source {
    pub fn new(of: Of, content: Vec<u8>) -> Self {
        let sent = |fd: OwnedFd, writer| Self { fd, writer: Some(writer) };
        match of {
            Of::File => Self { fd: file_elsewhere(&content).into(), writer: None },
            Of::Pipe => {
                let (reader, writer) = pipe().unwrap();
                sent(reader.into(), send(writer, content))
            }
            Of::Tcp => {
                let (socket, peer) = tcp();
                sent(socket.into(), send(peer, content))
            }
            Of::Unix => {
                let (socket, peer) = UnixStream::pair().unwrap();
                sent(socket.into(), send(peer, content))
            }
        }
    }

    pub fn end(self) {
        if let Some(writer) = self.writer {
            writer.join().unwrap();
        }
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Something to write to, and a way to learn what arrived.
pub struct Sink {
    pub fd: OwnedFd,
    reader: Option<JoinHandle<Vec<u8>>>,
}

impl Sink {
    pub fn new(of: Of) -> Self {
        let received = |fd: OwnedFd, reader| Self { fd, reader: Some(reader) };
        match of {
            Of::File => Self { fd: file(b"").into(), reader: None },
            Of::Pipe => {
                let (reader, writer) = pipe().unwrap();
                received(writer.into(), receive(reader))
            }
            Of::Tcp => {
                let (socket, peer) = tcp();
                received(socket.into(), receive(peer))
            }
            Of::Unix => {
                let (socket, peer) = UnixStream::pair().unwrap();
                received(socket.into(), receive(peer))
            }
        }
    }

    /// Closes it and returns what had arrived.
    pub fn end(self) -> Vec<u8> {
        let Some(reader) = self.reader else { return content(&File::from(self.fd)) };
        drop(self.fd);
        reader.join().unwrap()
    }
}

impl AsFd for Sink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// As Node's are: fit for the event loop.
pub fn nonblocking(end: impl AsFd) {
    sys::set_nonblocking(end, true).unwrap();
}
