//! Pipes of the engine, as the kernel keeps them: a ring of slots, each with a reference to a part of a page.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use zcio::Errno;
use zcio::sys::{Result, page_size};

/// One pipe.
#[derive(Debug)]
pub struct Ring {
    slots: RefCell<VecDeque<Vec<u8>>>,
    most: Cell<usize>,
    /// Bytes that a slot refers to at most: little of a tiny packet, several pages of a large one.
    piece: usize,
}

impl Ring {
    pub fn is_empty(&self) -> bool {
        self.slots.borrow().is_empty()
    }

    pub fn capacity(&self) -> usize {
        self.most.get() * page_size()
    }

    /// How many of so many bytes it can take: its capacity is in slots.
    pub fn room(&self, bytes: usize) -> usize {
        bytes.min((self.most.get() - self.slots.borrow().len()) * self.piece)
    }

    pub fn fill(&self, bytes: &[u8]) {
        self.slots.borrow_mut().extend(bytes.chunks(self.piece).map(<[u8]>::to_vec));
    }

    /// Bytes of user space come in pages of their own.
    pub fn write(&self, bytes: &[u8]) -> usize {
        self.slots.borrow_mut().push_back(bytes.to_vec());
        bytes.len()
    }

    pub fn drain(&self, most: usize) -> Vec<u8> {
        let mut drained = Vec::new();
        let mut slots = self.slots.borrow_mut();
        while drained.len() < most
            && let Some(mut slot) = slots.pop_front()
        {
            let rest = slot.split_off(slot.len().min(most - drained.len()));
            drained.extend(slot);
            if !rest.is_empty() {
                slots.push_front(rest);
            }
        }
        drained
    }

    /// Gives another, which is empty, references to what begins it, and says to how many bytes.
    pub fn duplicate(&self, empty: &Self, most: usize) -> usize {
        let mut left = most;
        for slot in self.slots.borrow().iter().take(empty.most.get()) {
            let part = slot.len().min(left);
            if part > 0 {
                empty.slots.borrow_mut().push_back(slot[..part].to_vec());
            }
            left -= part;
        }
        most - left
    }

    /// What is in its first slot.
    pub fn read(&self, buffer: &mut [u8]) -> usize {
        let first = self.slots.borrow().front().map_or(0, Vec::len);
        let bytes = self.drain(first.min(buffer.len()));
        buffer[..bytes.len()].copy_from_slice(&bytes);
        bytes.len()
    }
}

/// All of them, and what the kernel grants.
#[derive(Debug)]
pub struct Rings {
    /// Slots of the next pipes; `None`: there is none to be had. Then the usual.
    pub granted: RefCell<VecDeque<Option<usize>>>,
    /// Whether pipes may be enlarged.
    pub may_grow: bool,
    pub piece: usize,
    pub made: RefCell<Vec<Weak<Ring>>>,
}

impl Rings {
    pub fn make(&self) -> Result<Rc<Ring>> {
        let granted = self.granted.borrow_mut().pop_front().unwrap_or(Some(16));
        let most = Cell::new(granted.ok_or(Errno::MFILE)?);
        let ring = Rc::new(Ring { slots: RefCell::default(), most, piece: self.piece });
        self.made.borrow_mut().push(Rc::downgrade(&ring));
        Ok(ring)
    }

    pub fn grow(&self, ring: &Ring, bytes: usize) -> Result<usize> {
        assert!(ring.is_empty(), "it is grown before it is filled");
        if !self.may_grow {
            return Err(Errno::PERM);
        }
        ring.most.set(bytes.div_ceil(page_size()).next_power_of_two());
        Ok(ring.capacity())
    }

    /// Those with bytes in them.
    pub fn filled(&self) -> usize {
        self.made.borrow().iter().filter_map(Weak::upgrade).filter(|ring| !ring.is_empty()).count()
    }

    /// Those that are open.
    pub fn open(&self) -> usize {
        self.made.borrow().iter().filter_map(Weak::upgrade).count()
    }
}
