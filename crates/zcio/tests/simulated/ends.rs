//! The nouns of the simulated kernel: what a source contains, what a call comes to, and what stands for a descriptor.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::LazyLock;

use zcio::{Errno, Kind, Side};

use crate::ring::Ring;

/// What all sources contain, as far as they reach: no two pages are alike.
pub static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| (0_u32..1 << 20).map(byte).collect());

fn byte(index: u32) -> u8 {
    (index.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]
}

/// What the next call comes to.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// All that was asked for and is there.
    Full,
    /// At most so many bytes.
    Short(usize),
    /// Not now, and this end is the reason, if the call could wait for it; a file does not know this answer.
    Again(Side),
    /// Not a byte and no error, or `EAGAIN` for no reason: from `write` and `splice` only.
    Nothing,
    /// An error.
    Error(Errno),
    /// The source is so long from now on; then all that is there.
    Resize(usize),
}

/// An end as the kernel sees it.
#[derive(Debug)]
pub struct End {
    pub kind: Kind,
    pub append: bool,
    pub position: Cell<usize>,
}

impl End {
    pub fn is_file(&self) -> bool {
        self.kind == Kind::File
    }
}

/// An end of the transfer, or of a pipe of the engine's.
#[derive(Debug, Clone)]
pub enum Handle {
    End(Side),
    Reader(Rc<Ring>),
    Writer(Rc<Ring>),
}

impl Handle {
    pub fn end(&self) -> Side {
        match self {
            Self::End(side) => *side,
            pipe => panic!("not a call for a pipe of the engine's: {pipe:?}"),
        }
    }
}
