//! fstat(2), fstatfs(2): what kind of thing a descriptor is, and on what file system it lies.
//!
//! Decides which fields the engine gets to see, in one width on every platform. What follows from
//! them is decided where endpoints are classified.

use std::fmt;
use std::os::fd::AsFd;

use super::Result;
use super::error::retry;

/// What a descriptor refers to, as of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The device it lies on; with [`inode`](Self::inode) the identity of a file.
    pub device: u64,
    /// Its number on that device.
    pub inode: u64,
    /// Type and permission bits.
    pub mode: u32,
    /// How many names it has; 0 for a deleted file.
    pub links: u64,
    /// Which device a device file stands for.
    pub special_device: u64,
    /// In bytes. 0 for much of /proc although there is something to read, and for anything that is
    /// not a regular file it means nothing.
    pub size: u64,
    /// The unit, in bytes, that the file system likes best.
    pub block_size: u64,
    /// What it takes on the disk, in units of 512 bytes: less than `size` needs for a file with
    /// holes.
    pub blocks: u64,
    /// When the content was last changed: seconds and nanoseconds since 1970.
    pub modified: (i64, i64),
}

/// The kinds of file that `mode` tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileType {
    /// A file, memfds among them.
    Regular,
    /// A directory.
    Directory,
    /// A pipe or FIFO.
    Pipe,
    /// A socket of any family.
    Socket,
    /// A terminal, /dev/null, /dev/zero, …
    CharDevice,
    /// A disk.
    BlockDevice,
    /// A symbolic link, opened with [`OpenFlags::PATH`](super::OpenFlags::PATH).
    Symlink,
    /// What has no type: eventfd, epoll, timerfd, …
    Other,
}

impl Stat {
    /// What kind of file this is.
    pub const fn file_type(&self) -> FileType {
        match self.mode & libc::S_IFMT {
            libc::S_IFREG => FileType::Regular,
            libc::S_IFDIR => FileType::Directory,
            libc::S_IFIFO => FileType::Pipe,
            libc::S_IFSOCK => FileType::Socket,
            libc::S_IFCHR => FileType::CharDevice,
            libc::S_IFBLK => FileType::BlockDevice,
            libc::S_IFLNK => FileType::Symlink,
            _ => FileType::Other,
        }
    }
}

/// Asks what `fd` refers to. Works on any descriptor. `EBADF`: not open.
#[allow(
    clippy::unnecessary_cast,
    clippy::cast_sign_loss,
    clippy::cast_lossless,
    clippy::useless_conversion,
    reason = "the C types of these fields differ from platform to platform; no value is negative"
)]
pub fn stat(fd: impl AsFd) -> Result<Stat> {
    let stat = retry(|| nix::sys::stat::fstat(&fd))?;
    Ok(Stat {
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        mode: stat.st_mode,
        links: stat.st_nlink as u64,
        special_device: stat.st_rdev as u64,
        size: stat.st_size as u64,
        block_size: stat.st_blksize as u64,
        blocks: stat.st_blocks as u64,
        modified: (i64::from(stat.st_mtime), i64::from(stat.st_mtime_nsec)),
    })
}

/// A kind of file system, by its magic number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileSystem(pub u32);

/// Asks on what kind of file system `fd` lies. Pipes and sockets have kinds of their own.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a magic number has 32 bits, in whatever type C carries it"
)]
pub fn file_system(fd: impl AsFd) -> Result<FileSystem> {
    let statfs = retry(|| nix::sys::statfs::fstatfs(&fd))?;
    Ok(FileSystem(statfs.filesystem_type().0 as u32))
}

macro_rules! file_systems {
    ($($(#[$doc:meta])* $constant:ident $name:literal $magic:literal,)*) => {
        impl FileSystem {
            $($(#[$doc])* pub const $constant: Self = Self($magic);)*

            /// Those that have a name.
            pub const NAMED: &[Self] = &[$(Self::$constant),*];

            /// Its name as in /proc/filesystems, `None` if it is not one of the constants here.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($magic => Some($name),)*
                    _ => None,
                }
            }
        }
    };
}

// From linux/magic.h; xfs, zfs and the two of Windows from their own sources.
file_systems! {
    /// Blocks cannot be shared; a copy fills holes.
    EXT4 "ext4" 0xef53,
    /// Blocks can be shared.
    XFS "xfs" 0x5846_5342,
    /// Blocks can be shared.
    BTRFS "btrfs" 0x9123_683e,
    /// Has served corrupt data to splice (OpenZFS 2.2 on Linux 6.5).
    ZFS "zfs" 0x2fc1_2fc1,
    /// The root of most containers; cannot tell what is in the page cache.
    OVERLAYFS "overlay" 0x794c_7630,
    /// Always in memory; memfds and anonymous shared mappings lie here too.
    TMPFS "tmpfs" 0x0102_1994,
    /// Always in memory.
    RAMFS "ramfs" 0x8584_58f6,
    /// Memory in huge pages; has no splice.
    HUGETLBFS "hugetlbfs" 0x9584_58f6,
    /// Made up as it is read: sizes are 0, much of it cannot be spliced.
    PROC "proc" 0x9fa0,
    /// Made up as it is read: sizes are a page.
    SYSFS "sysfs" 0x6265_6572,
    /// Made up as it is read.
    CGROUP2 "cgroup2" 0x6367_7270,
    /// Read-only, from an image.
    EROFS "erofs" 0xe0f5_e1e2,
    /// Read-only, from an image.
    SQUASHFS "squashfs" 0x7371_7368,
    /// Blocks can be shared.
    BCACHEFS "bcachefs" 0xca45_1a4e,
    /// Made for flash memory.
    F2FS "f2fs" 0xf2f5_2010,
    /// Encrypts another; copy_file_range once gave what lies beneath.
    ECRYPTFS "ecryptfs" 0xf15f,
    /// Of memory cards.
    VFAT "vfat" 0x4d44,
    /// Of memory cards.
    EXFAT "exfat" 0x2011_bab0,
    /// On another machine.
    NFS "nfs" 0x6969,
    /// On another machine.
    CIFS "cifs" 0xff53_4d42,
    /// On another machine.
    SMB2 "smb2" 0xfe53_4d42,
    /// On another machine.
    CEPH "ceph" 0x00c3_6400,
    /// On another machine: the host of a virtual one.
    V9FS "9p" 0x0102_1997,
    /// In another process, which may take its time.
    FUSE "fuse" 0x6573_5546,
    /// Pipes.
    PIPEFS "pipefs" 0x5049_5045,
    /// Sockets.
    SOCKFS "sockfs" 0x534f_434b,
}

impl FileSystem {
    /// The one with this name; ext2 and ext3 answer to the magic number of ext4.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMED.iter().copied().find(|file_system| file_system.name() == Some(name))
    }
}

impl fmt::Debug for FileSystem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => formatter.write_str(name),
            None => write!(formatter, "{:#x}", self.0),
        }
    }
}
