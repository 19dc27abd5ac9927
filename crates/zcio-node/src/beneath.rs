//! Opening what lies beneath a directory: at once where that needs no waiting, else on Node's thread pool.
//!
//! The directory is looked up for each file: where it is replaced (a deployment swaps a link), the next request sees it.

use std::os::fd::OwnedFd;

use napi::bindgen_prelude::{AsyncTask, BufferSlice};
use napi::{Env, Task};
use napi_derive::napi;
use zcio::beneath;
use zcio::sys::{self, CURRENT_DIRECTORY, Errno, FileType, OpenFlags, ResolveFlags, Result, Stat};

use crate::descriptors::entrust;
use crate::files::tell_about;

/// O_NONBLOCK: the opening of a FIFO must not wait for its writer.
const FOR_READING: OpenFlags = OpenFlags::NONBLOCK.union(OpenFlags::NOCTTY);

/// Only named, not opened: a place to start from.
const DIRECTORY: OpenFlags = OpenFlags::PATH.union(OpenFlags::DIRECTORY);

/// `openFile` for a regular file beneath the directory `root`. Negative: errno; `EAGAIN`: use `openBeneathLater`;
/// `EXDEV`: the path leads out of there; `EISDIR`: a directory; `ENXIO`: something else that is no file.
#[napi]
pub fn open_beneath(root: String, path: String, start: f64, end: f64, mut scratch: BufferSlice) -> i32 {
    let opened = sys::open_cached(&root, DIRECTORY)
        .and_then(|root| open_regular(|flags| beneath::open_cached(&root, &path, flags)));
    answer(opened, start, end, &mut scratch)
}

/// The same by one call, for an absolute path that names no `..`: it leads where it says if it passes no symbolic link.
/// `ELOOP`: it passes one, so only `openBeneath` can tell.
#[napi]
pub fn open_straight(path: String, start: f64, end: f64, mut scratch: BufferSlice) -> i32 {
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::CACHED;
    let opened = open_regular(|flags| sys::openat2(CURRENT_DIRECTORY, &path, flags, 0, resolve));
    answer(opened, start, end, &mut scratch)
}

fn answer(opened: Result<(OwnedFd, Stat)>, start: f64, end: f64, scratch: &mut [u8]) -> i32 {
    match opened {
        Ok((file, stat)) => tell_about(file, &stat, start, end, scratch),
        // Neither is known to every kernel and every sandbox.
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => -Errno::AGAIN.raw(),
        Err(errno) => -errno.raw(),
    }
}

/// The same on a thread that may wait for a disk; looks at nothing yet. `walk`: as if there were no openat2(2).
#[napi(ts_return_type = "Promise<number>")]
pub fn open_beneath_later(root: String, path: String, walk: bool) -> AsyncTask<Opening> {
    AsyncTask::new(Opening { root, path, walk })
}

pub struct Opening {
    root: String,
    path: String,
    walk: bool,
}

impl Task for Opening {
    type Output = Result<OwnedFd>;
    type JsValue = i32;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        let opened = sys::open(&self.root, DIRECTORY, 0).and_then(|root| {
            let path = self.path.as_str();
            open_regular(|flags| {
                if self.walk { beneath::walk(&root, path, flags) } else { beneath::open(&root, path, flags) }
            })
        });
        Ok(opened.map(|(file, _)| file))
    }

    fn resolve(&mut self, _: Env, opened: Self::Output) -> napi::Result<i32> {
        Ok(opened.map_or_else(|errno| -errno.raw(), entrust))
    }
}

fn open_regular(open: impl Fn(OpenFlags) -> Result<OwnedFd>) -> Result<(OwnedFd, Stat)> {
    let file = open(FOR_READING).map_err(|errno| match errno {
        // A directory that may be passed and not listed is a directory all the same.
        Errno::ACCES if open(DIRECTORY).is_ok() => Errno::ISDIR,
        errno => errno,
    })?;
    let stat = sys::stat(&file)?;
    match stat.file_type() {
        FileType::Regular => Ok((file, stat)),
        FileType::Directory => Err(Errno::ISDIR),
        _ => Err(Errno::NXIO),
    }
}
