//! What the running kernel offers, found out by asking it: a version number tells nothing of sandboxes and backports.
//!
//! Each call is made on something it must refuse or can do without effect. `ENOSYS` means that there is no such
//! call, `ENOTTY` that there is no such request of ioctl(2); `EPERM` on a descriptor that is not even open means that a sandbox answers in the kernel's place.

use std::fs;
use std::os::fd::AsFd;

use crate::pipe::Pipe;
use crate::sys::{self, Errno, OpenFlags, ResolveFlags, Result, SpliceFlags};

/// Every system call of the engine, with the error where it is not available.
#[must_use]
pub fn calls() -> Vec<(&'static str, Option<Errno>)> {
    let Ok(pipe) = Pipe::new() else { return vec![("pipe2", Some(Errno::MFILE))] };
    let (reader, writer) = (pipe.reader(), pipe.writer());
    let flags = SpliceFlags::NONBLOCK;
    vec![
        ("pipe2", None),
        ("ioctl_ficlonerange", missing(sys::reflink_range(writer, 0, reader, 0, 1))),
        ("sendfile", missing(sys::sendfile(writer, reader, None, 1))),
        ("splice", missing(sys::splice(reader, None, writer, None, 1, flags))),
        ("tee", missing(sys::tee(reader, writer, 1, flags))),
        ("vmsplice", missing(sys::vmsplice(writer, &[], flags))),
        ("copy_file_range", missing(sys::copy_file_range(reader, None, writer, None, 1))),
        ("preadv2", missing(sys::read_resident(reader, &mut [0], Some(0)))),
        (
            "openat2",
            missing(sys::openat2(sys::CURRENT_DIRECTORY, ".", OpenFlags::PATH, 0, ResolveFlags::empty())),
        ),
    ]
}

/// A refusal of the arguments is a sign of life.
fn missing<T>(answer: Result<T>) -> Option<Errno> {
    answer.err().filter(|errno| matches!(*errno, Errno::NOSYS | Errno::PERM | Errno::NOTTY))
}

/// Whether a pipe shares a file's pages, so that later writes to the file show through: what passing by reference
/// means, and what may be taken from future kernels.
///
/// # Errors
/// Where no memory file or pipe can be had.
pub fn shares_pages() -> Result<bool> {
    let file = sys::memfd(c"zcio-probe", false)?;
    let pipe = Pipe::new()?;
    sys::pwrite(&file, b"before", 0)?;
    sys::splice(file.as_fd(), Some(&mut 0), pipe.writer(), None, 6, SpliceFlags::NONBLOCK)?;
    sys::pwrite(&file, b"after!", 0)?;
    let mut seen = [0; 6];
    sys::read(pipe.reader(), &mut seen)?;
    Ok(&seen == b"after!")
}

/// The most bytes an unprivileged user may give a pipe: proc_sys_fs(5).
#[must_use]
pub fn pipe_max_size() -> Option<u64> {
    limit("/proc/sys/fs/pipe-max-size")
}

/// The pages in pipes of one user past which new pipes get two: pipe(7).
#[must_use]
pub fn pipe_user_pages_soft() -> Option<u64> {
    limit("/proc/sys/fs/pipe-user-pages-soft")
}

fn limit(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}
