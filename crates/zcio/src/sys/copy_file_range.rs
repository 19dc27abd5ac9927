//! copy_file_range(2): file → file inside the file system, shared or copied by its own means.
//!
//! Decides nothing; the engine knows which of its refusals only mean "copy another way".

use std::os::fd::AsFd;

use nix::fcntl;

use super::error::retry;
use super::offset::Offset;
use super::{MAX_COUNT, Result};

/// Copies up to `length` bytes of the file `source` into the file `sink`; 0 at or past the end.
///
/// xfs and btrfs share the blocks where both ranges are aligned to them (8 MiB in 8 µs) and copy
/// where not; ext4 copies and fills holes.
///
/// - `EXDEV`: not one file system (two overlay layers, two tmpfs are not; a bind mount is).
/// - `EBADF`: the sink is `O_APPEND`, or a side is not open for this. `EINVAL`: a side is not a
///   regular file, or the ranges of one file overlap. `ETXTBSY`: a swap file. `EPERM`: immutable,
///   or a sandbox forbids it. `EOPNOTSUPP` from NFS, `EIO` or `EPERM` from CIFS, `EACCES` from old
///   Ceph.
/// - Shortened at `RLIMIT_FSIZE`; the call after that is `EFBIG` and raises SIGXFSZ.
/// - A file in /proc says 0 where older kernels do not say `EXDEV`: believe a first 0 only after a
///   read(2) has said so too. Before Linux 5.3 the call corrupted files.
pub fn copy_file_range(
    source: impl AsFd,
    source_offset: Option<&mut u64>,
    sink: impl AsFd,
    sink_offset: Option<&mut u64>,
    length: usize,
) -> Result<usize> {
    let mut from = Offset::lend(source_offset)?;
    let mut to = Offset::lend(sink_offset)?;
    let length = length.min(MAX_COUNT);
    let copied = retry(|| {
        let (from, to) = (from.as_kernel(), to.as_kernel());
        fcntl::copy_file_range(&source, from, &sink, to, length)
    })?;
    from.store();
    to.store();
    Ok(copied)
}
