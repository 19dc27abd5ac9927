//! The calls the engine may make, and nothing else.
//!
//! Everything in [`transfer`](mod@crate::transfer) reaches the operating system through [`Kernel`], so that tests can
//! put a simulated kernel here and walk every interleaving of short counts and errors. [`Linux`] is the real one:
//! each method is the wrapper of the same name in [`sys`], without a decision of its own. Dispatch is static.

use std::fmt::Debug;

use crate::sys::{self, Events, Fd, FileSystem, OpenFlags, Result, SpliceFlags};

/// Where a call reads or writes: at the descriptor's own position (which the call then moves), or at an offset
/// that is advanced in place and leaves the position alone.
pub type Offset<'a> = Option<&'a mut u64>;

/// The system calls of the engine, over handles that only the implementation understands.
///
/// Every call is one attempt: it may move less than asked, and `EAGAIN` means that nothing moved.
pub trait Kernel {
    /// What stands for an open descriptor.
    type Handle: Debug;

    /// Shares the first `length` bytes of `source`, which are all of it, with the empty `sink`:
    /// `ioctl_ficlonerange(2)`. `EINVAL`: it is no longer so long.
    fn reflink(&self, sink: &Self::Handle, source: &Self::Handle, length: u64) -> Result<()>;

    /// Copies between two regular files of one file system: `copy_file_range(2)`.
    fn copy_file_range(
        &self,
        source: &Self::Handle,
        source_offset: Offset,
        sink: &Self::Handle,
        sink_offset: Offset,
        length: usize,
    ) -> Result<usize>;

    /// Moves file pages by reference to anything that can be written: `sendfile(2)`.
    fn sendfile(
        &self,
        sink: &Self::Handle,
        source: &Self::Handle,
        offset: Offset,
        count: usize,
    ) -> Result<usize>;

    /// `read(2)`, or `pread(2)` with an offset (which it does not advance).
    fn read(&self, source: &Self::Handle, buffer: &mut [u8], offset: Option<u64>) -> Result<usize>;

    /// `write(2)`, or `pwrite(2)` with an offset (which it does not advance).
    fn write(&self, sink: &Self::Handle, bytes: &[u8], offset: Option<u64>) -> Result<usize>;

    /// The same file by its page cache, where it was opened with `O_DIRECT`: `open(2)` through /proc, for reading or
    /// writing as `access` says.
    fn open_cached(&self, file: &Self::Handle, access: OpenFlags) -> Result<Self::Handle>;

    /// Moves bytes between a pipe and something else by reference: `splice(2)`, never waiting on the pipe.
    fn splice(
        &self,
        source: &Self::Handle,
        source_offset: Offset,
        sink: &Self::Handle,
        sink_offset: Offset,
        length: usize,
    ) -> Result<usize>;

    /// Duplicates references to what is in one pipe into another, which must be empty for all of it: `tee(2)`.
    fn tee(&self, source: &Self::Handle, sink: &Self::Handle, length: usize) -> Result<usize>;

    /// Tells the peer that nothing more will come: `shutdown(2)` with `SHUT_WR`.
    fn shutdown_write(&self, socket: &Self::Handle) -> Result<()>;

    /// A new pipe, reader and writer: `pipe2(2)`.
    fn pipe(&self) -> Result<(Self::Handle, Self::Handle)>;

    /// Bytes a pipe can take when every slot holds a full page: `F_GETPIPE_SZ`.
    fn pipe_capacity(&self, pipe: &Self::Handle) -> Result<usize>;

    /// Asks for another capacity and returns the one there is then: `F_SETPIPE_SZ`.
    fn set_pipe_capacity(&self, pipe: &Self::Handle, bytes: usize) -> Result<usize>;

    /// What `poll(2)` says of it now.
    fn readiness(&self, handle: &Self::Handle) -> Events;

    /// `recv(2)` with `MSG_DONTWAIT`: never waits, whatever the socket's flags.
    fn receive(&self, socket: &Self::Handle, buffer: &mut [u8]) -> Result<usize>;

    /// `send(2)` with `MSG_DONTWAIT` and `MSG_NOSIGNAL`: never waits, whatever the socket's flags.
    fn send(&self, socket: &Self::Handle, bytes: &[u8]) -> Result<usize>;

    /// Reads only what is in the page cache: `preadv2(2)` with `RWF_NOWAIT`. `EAGAIN`: it would wait for a disk.
    fn read_resident(&self, source: &Self::Handle, buffer: &mut [u8], offset: u64) -> Result<usize>;

    /// Moves the position of a seekable descriptor and returns the new one: `lseek(2)`.
    fn seek_by(&self, file: &Self::Handle, distance: i64) -> Result<u64>;

    /// Whether every page of this file's file system is in memory by nature (tmpfs, ramfs, proc): `fstatfs(2)`.
    fn lives_in_memory(&self, file: &Self::Handle) -> bool;
}

/// The running kernel. Handles are [`Fd`]s: owned by a transfer that outlives its caller, or borrowed by one that
/// does not.
#[derive(Debug, Default, Clone, Copy)]
pub struct Linux<'fd>(std::marker::PhantomData<Fd<'fd>>);

impl Linux<'_> {
    /// The kernel that this process runs on.
    #[must_use]
    pub const fn new() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<'fd> Kernel for Linux<'fd> {
    type Handle = Fd<'fd>;

    fn reflink(&self, sink: &Fd<'fd>, source: &Fd<'fd>, length: u64) -> Result<()> {
        sys::reflink_range(sink, 0, source, 0, length)
    }

    fn copy_file_range(
        &self,
        source: &Fd<'fd>,
        source_offset: Offset,
        sink: &Fd<'fd>,
        sink_offset: Offset,
        length: usize,
    ) -> Result<usize> {
        sys::copy_file_range(source, source_offset, sink, sink_offset, length)
    }

    fn sendfile(&self, sink: &Fd<'fd>, source: &Fd<'fd>, offset: Offset, count: usize) -> Result<usize> {
        sys::sendfile(sink, source, offset, count)
    }

    fn read(&self, source: &Fd<'fd>, buffer: &mut [u8], offset: Option<u64>) -> Result<usize> {
        match offset {
            Some(offset) => sys::pread(source, buffer, offset),
            None => sys::read(source, buffer),
        }
    }

    fn write(&self, sink: &Fd<'fd>, bytes: &[u8], offset: Option<u64>) -> Result<usize> {
        match offset {
            Some(offset) => sys::pwrite(sink, bytes, offset),
            None => sys::write(sink, bytes),
        }
    }

    fn open_cached(&self, file: &Fd<'fd>, access: OpenFlags) -> Result<Fd<'fd>> {
        sys::reopen(file, access).map(Fd::from)
    }

    fn splice(
        &self,
        source: &Fd<'fd>,
        source_offset: Offset,
        sink: &Fd<'fd>,
        sink_offset: Offset,
        length: usize,
    ) -> Result<usize> {
        sys::splice(source, source_offset, sink, sink_offset, length, SpliceFlags::NONBLOCK)
    }

    fn tee(&self, source: &Fd<'fd>, sink: &Fd<'fd>, length: usize) -> Result<usize> {
        sys::tee(source, sink, length, SpliceFlags::NONBLOCK)
    }

    fn shutdown_write(&self, socket: &Fd<'fd>) -> Result<()> {
        sys::shutdown(socket, sys::How::Write)
    }

    fn pipe(&self) -> Result<(Fd<'fd>, Fd<'fd>)> {
        sys::pipe().map(|(reader, writer)| (reader.into(), writer.into()))
    }

    fn pipe_capacity(&self, pipe: &Fd<'fd>) -> Result<usize> {
        sys::pipe_capacity(pipe)
    }

    fn set_pipe_capacity(&self, pipe: &Fd<'fd>, bytes: usize) -> Result<usize> {
        sys::set_pipe_capacity(pipe, bytes)
    }

    fn readiness(&self, handle: &Fd<'fd>) -> Events {
        sys::readiness(handle)
    }

    fn receive(&self, socket: &Fd<'fd>, buffer: &mut [u8]) -> Result<usize> {
        sys::receive(socket, buffer, sys::ReceiveFlags::DONTWAIT)
    }

    fn send(&self, socket: &Fd<'fd>, bytes: &[u8]) -> Result<usize> {
        sys::send(socket, bytes, sys::SendFlags::DONTWAIT)
    }

    fn read_resident(&self, source: &Fd<'fd>, buffer: &mut [u8], offset: u64) -> Result<usize> {
        sys::read_resident(source, buffer, Some(offset))
    }

    fn seek_by(&self, file: &Fd<'fd>, distance: i64) -> Result<u64> {
        sys::seek_by(file, distance)
    }

    fn lives_in_memory(&self, file: &Fd<'fd>) -> bool {
        const IN_MEMORY: [FileSystem; 3] = [FileSystem::TMPFS, FileSystem::RAMFS, FileSystem::PROC];
        sys::file_system(file).is_ok_and(|kind| IN_MEMORY.contains(&kind))
    }
}
