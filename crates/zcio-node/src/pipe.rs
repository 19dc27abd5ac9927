//! What the class `Pipe` is made of: descriptors, which TypeScript closes, or the end of its thread.

use std::os::fd::{AsFd, OwnedFd};

use napi_derive::napi;
use zcio::Pipe;
use zcio::sys::{self, Result};

use crate::convert::{Descriptor, count_or_errno};
use crate::descriptors::entrust;

/// `pipe2(2)`: reader and writer, or one negative errno.
#[napi]
pub fn pipe(reader_blocking: bool, writer_blocking: bool) -> Vec<i32> {
    match open(reader_blocking, writer_blocking) {
        Ok((reader, writer)) => vec![entrust(reader), entrust(writer)],
        Err(errno) => vec![-errno.raw()],
    }
}

fn open(reader_blocking: bool, writer_blocking: bool) -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = Pipe::new()?.into_ends();
    for (end, blocking) in [(&reader, reader_blocking), (&writer, writer_blocking)] {
        if blocking {
            sys::set_nonblocking(end.as_fd(), false)?;
        }
    }
    Ok((reader, writer))
}

/// `F_GETPIPE_SZ`.
#[napi]
pub fn pipe_capacity(pipe: Descriptor) -> i64 {
    count_or_errno(sys::pipe_capacity(pipe))
}

/// `F_SETPIPE_SZ`: the capacity there is then.
#[napi]
pub fn set_pipe_capacity(pipe: Descriptor, bytes: u32) -> i64 {
    count_or_errno(sys::set_pipe_capacity(pipe, bytes as usize))
}

/// `FIONREAD`.
#[napi]
pub fn buffered(pipe: Descriptor) -> i64 {
    count_or_errno(sys::buffered(pipe))
}
