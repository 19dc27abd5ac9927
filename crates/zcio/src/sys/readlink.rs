//! readlinkat(2): where a symbolic link leads.
//!
//! Decides nothing: to follow it, or to refuse to, is the caller's.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::Path;

use super::Result;
use super::error::retry;

/// What is written in the link `path`, as seen from `directory`. `EINVAL`: it is no link; `ENOENT`, `ENOTDIR`,
/// `EACCES` as open(2).
pub fn readlinkat(directory: impl AsFd, path: impl AsRef<Path>) -> Result<OsString> {
    retry(|| nix::fcntl::readlinkat(&directory, path.as_ref()))
}
