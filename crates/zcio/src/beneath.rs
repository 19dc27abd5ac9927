//! Opening what lies beneath a directory, whatever the path and the links along it say.
//!
//! Decides that nothing outside is ever reached: not by `..`, not by an absolute path, not by a symbolic link, not by
//! one that is swapped in meanwhile. openat2(2) enforces that in the kernel. Where there is none (before Linux 5.6, in
//! sandboxes older than the call), [`walk`] gives the same answers one component at a time. Which paths may be asked
//! for is left to the caller.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::sys::{self, Errno, FileType, OpenFlags, ResolveFlags, Result};

/// Opens `path` beneath `root`; may wait for a disk. `EXDEV`: it leads out of there, if only for a moment; an absolute
/// symbolic link always does. Other errors as open(2).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zcio::{Errno, beneath, sys::OpenFlags};
/// let root = std::fs::File::open("src")?;
/// assert!(beneath::open(&root, "lib.rs", OpenFlags::empty()).is_ok());
/// assert_eq!(beneath::open(&root, "../Cargo.toml", OpenFlags::empty()).unwrap_err(), Errno::XDEV);
/// # Ok(())
/// # }
/// ```
pub fn open(root: impl AsFd, path: impl AsRef<Path>, flags: OpenFlags) -> Result<OwnedFd> {
    let (root, path) = (root.as_fd(), path.as_ref());
    match sys::openat2(root, path, flags, 0, ResolveFlags::BENEATH) {
        // EAGAIN: a rename somewhere left it open whether a `..` has stayed inside. A walk cannot be left in doubt.
        Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => walk(root, path, flags),
        answer => answer,
    }
}

/// The same without waiting: `EAGAIN` says that only [`open`] can tell, on a thread that may wait for a disk.
pub fn open_cached(root: impl AsFd, path: impl AsRef<Path>, flags: OpenFlags) -> Result<OwnedFd> {
    let answer = sys::openat2(root, path, flags, 0, ResolveFlags::BENEATH | ResolveFlags::CACHED);
    // EINVAL: before Linux 5.12 nobody knows RESOLVE_CACHED.
    answer.map_err(|errno| match errno {
        Errno::NOSYS | Errno::PERM | Errno::INVAL => Errno::AGAIN,
        errno => errno,
    })
}

/// The same as [`open`] without openat2(2): by openat(2), which is told to follow no link.
///
/// Every directory on the way stays open until the end, so that `..` leads where the path came from, even if a
/// directory is moved away meanwhile.
pub fn walk(root: impl AsFd, path: impl AsRef<Path>, flags: OpenFlags) -> Result<OwnedFd> {
    let path = path.as_ref().as_os_str();
    if path.is_empty() {
        return Err(Errno::NOENT);
    }
    if path.len() >= PATH_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    let mut walk = Walk { root: root.as_fd(), inside: Vec::new(), ahead: Vec::new(), links: 0 };
    walk.prepend(path)?;
    walk.run(flags)
}

/// PATH_MAX of linux/limits.h, the terminating zero included.
const PATH_MAX: usize = 4096;

/// MAXSYMLINKS of linux/namei.h: so many links are followed in one path, no more.
const MAX_LINKS: u32 = 40;

/// The directory reached so far.
const HERE: &str = ".";

/// The same where a path ends in a slash, behind which nothing can be created.
const SLASH: &str = "./";

struct Walk<'root> {
    root: BorrowedFd<'root>,
    /// The directories from the root's child to the one that has been reached.
    inside: Vec<OwnedFd>,
    /// What is left of the path, the next component last.
    ahead: Vec<OsString>,
    links: u32,
}

impl Walk<'_> {
    /// Each turn takes one component; `inside` leads from the root to where the path so far does, and no further up.
    fn run(mut self, flags: OpenFlags) -> Result<OwnedFd> {
        while let Some(name) = self.ahead.pop() {
            let is_last = self.ahead.is_empty();
            if name == ".." {
                self.inside.pop().ok_or(Errno::XDEV)?;
                if is_last {
                    self.ahead.push(HERE.into());
                }
            } else if is_last {
                if let Some(opened) = self.enter(&name, flags)? {
                    return Ok(opened);
                }
            } else if self.ahead == [SLASH] && flags.contains(OpenFlags::CREAT) {
                return Err(Errno::ISDIR);
            } else if name != HERE
                && name != SLASH
                && let Some(directory) = self.enter(&name, OpenFlags::PATH | OpenFlags::DIRECTORY)?
            {
                self.inside.push(directory);
            }
        }
        Err(Errno::NOENT)
    }

    /// Opens a component, or puts what it leads to in its place if it is a link and the caller would have it followed.
    fn enter(&mut self, name: &OsStr, flags: OpenFlags) -> Result<Option<OwnedFd>> {
        let here = self.inside.last().map_or(self.root, AsFd::as_fd);
        let opened = sys::openat(here, name, flags | OpenFlags::NOFOLLOW, 0);
        if flags.contains(OpenFlags::NOFOLLOW) {
            return opened.map(Some);
        }
        match target(here, name, &opened)? {
            Some(target) => self.follow(&target).map(|()| None),
            None => opened.map(Some),
        }
    }

    fn follow(&mut self, target: &OsStr) -> Result<()> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Errno::LOOP);
        }
        self.prepend(target)
    }

    /// Puts a path before what is left.
    fn prepend(&mut self, path: &OsStr) -> Result<()> {
        let bytes = path.as_bytes();
        if bytes.starts_with(b"/") {
            return Err(Errno::XDEV);
        }
        if bytes.ends_with(b"/") {
            self.ahead.push(SLASH.into());
        }
        let names = bytes.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        self.ahead.extend(names.rev().map(|name| OsStr::from_bytes(name).to_owned()));
        Ok(())
    }
}

/// Where the link leads that was met in place of what was to be opened, if it was one.
fn target(here: BorrowedFd<'_>, name: &OsStr, opened: &Result<OwnedFd>) -> Result<Option<OsString>> {
    match opened {
        // O_PATH opens the link itself.
        Ok(link) if sys::stat(link)?.file_type() == FileType::Symlink => sys::readlinkat(link, "").map(Some),
        // ENOTDIR: what a link is to O_DIRECTORY.
        Err(refusal @ (Errno::LOOP | Errno::NOTDIR)) => match sys::readlinkat(here, name) {
            // It was a link a moment ago: once more.
            Err(Errno::INVAL) if *refusal == Errno::LOOP => Ok(Some(name.to_owned())),
            target => Ok(target.ok()),
        },
        _ => Ok(None),
    }
}
