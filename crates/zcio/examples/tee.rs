//! `… | tee FILE | …`: duplicates stdin to stdout by tee(2) and consumes it into a file by splice(2).
//!
//! No byte enters this process: tee lets the second pipe refer to the pages in the first, splice moves them on into
//! the file. Both ends must be pipes; coreutils' tee is for the rest.

use std::env;
use std::error::Error;
use std::io::{stdin, stdout};
use std::os::fd::{AsFd, BorrowedFd};

use zcio::sys::{self, Errno, OpenFlags, SpliceFlags};
use zcio::{Facts, Kind};

/// As much as a pipe can hold; less comes anyway.
const MOST: usize = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args_os().nth(1).ok_or("usage: … | tee FILE | …")?;
    let (source, copy) = (stdin(), stdout());
    for (end, name) in [(source.as_fd(), "stdin"), (copy.as_fd(), "stdout")] {
        if !Facts::of(end).is_ok_and(|facts| facts.kind == Kind::Pipe) {
            return Err(format!("{name} is not a pipe, and tee(2) takes nothing else").into());
        }
    }
    let file = sys::open(path, OpenFlags::WRONLY | OpenFlags::CREAT | OpenFlags::TRUNC, 0o666)?;
    Ok(run(source.as_fd(), copy.as_fd(), file.as_fd())?)
}

fn run(source: BorrowedFd, copy: BorrowedFd, file: BorrowedFd) -> sys::Result<()> {
    loop {
        match sys::tee(source, copy, MOST, SpliceFlags::empty()) {
            Ok(0) => return Ok(()),
            // What was duplicated is still in the source: exactly that goes to the file, or tee would repeat it.
            Ok(duplicated) => consume(source, file, duplicated)?,
            // One of them is nonblocking, and tee does not say which: wait for the one, then for the other.
            Err(Errno::AGAIN) => {
                sys::wait_readable(source, None)?;
                sys::wait_writable(copy, None)?;
            }
            Err(errno) => return Err(errno),
        }
    }
}

fn consume(source: BorrowedFd, file: BorrowedFd, mut left: usize) -> sys::Result<()> {
    while left > 0 {
        // Never EAGAIN: so much is there. 0: another reader of the same pipe was faster.
        match sys::splice(source, None, file, None, left, SpliceFlags::MOVE)? {
            0 => return Err(Errno::IO),
            moved => left -= moved,
        }
    }
    Ok(())
}
