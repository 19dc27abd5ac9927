//! The ways bytes can move, and sets of them: the words that routes, switches, counters and results share.
//!
//! Which of them fits two ends is decided in [`route`](crate::transfer::route).

use std::ops::BitOr;

/// The ways bytes can move, cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mechanism {
    /// The two files share their blocks until one is written: `ioctl_ficlonerange(2)`.
    Reflink,
    /// The file system copies, or shares, or asks its server to: `copy_file_range(2)`.
    CopyFileRange,
    /// The page cache's pages go to the sink by reference: `sendfile(2)`.
    Sendfile,
    /// References to pages go through a pipe: `splice(2)`.
    Splice,
    /// Through user space: `read(2)` and `write(2)`.
    ReadWrite,
}

impl Mechanism {
    /// All of them, cheapest first.
    pub const ALL: [Self; 5] =
        [Self::Reflink, Self::CopyFileRange, Self::Sendfile, Self::Splice, Self::ReadWrite];

    /// The word for it in results: the system call's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reflink => "reflink",
            Self::CopyFileRange => "copy_file_range",
            Self::Sendfile => "sendfile",
            Self::Splice => "splice",
            Self::ReadWrite => "read_write",
        }
    }

    /// The one that has this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }
}

/// Some of the mechanisms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Mechanisms(u8);

impl Mechanisms {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// Whether it is one of these.
    #[must_use]
    pub const fn contains(self, mechanism: Mechanism) -> bool {
        self.0 & (1 << mechanism as u8) != 0
    }

    /// As one byte, for an atomic to hold.
    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }
}

impl BitOr for Mechanisms {
    type Output = Self;

    fn bitor(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }
}

impl FromIterator<Mechanism> for Mechanisms {
    fn from_iter<I: IntoIterator<Item = Mechanism>>(mechanisms: I) -> Self {
        Self(mechanisms.into_iter().fold(0, |bits, mechanism| bits | 1 << mechanism as u8))
    }
}
