//! What other threads ask of the event loop, and how it hears of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sys::{self, EventFd};

use super::job::Job;

/// What other threads ask of the event loop.
#[derive(Debug)]
pub(super) struct Inbox {
    messages: Mutex<Vec<Message>>,
    wake: EventFd,
}

#[derive(Debug)]
pub(super) enum Message {
    /// A new job: give it a turn.
    Start(Box<Job>),
    /// A job whose end must become ready first.
    Park(Box<Job>),
    /// A job that ended elsewhere and may still be registered here.
    End(Box<Job>),
    /// A job may have been cancelled.
    LookAt(u64),
}

impl Inbox {
    pub(super) fn new() -> sys::Result<Self> {
        Ok(Self { messages: Mutex::default(), wake: EventFd::new()? })
    }

    pub(super) fn start(&self, job: Box<Job>) {
        self.post(Message::Start(job));
    }

    pub(super) fn park(&self, job: Box<Job>) {
        self.post(Message::Park(job));
    }

    pub(super) fn end(&self, job: Box<Job>) {
        self.post(Message::End(job));
    }

    pub(super) fn look_at(&self, id: u64) {
        self.post(Message::LookAt(id));
    }

    /// Only the first message since the loop last looked has to wake it. Not under the lock: on a busy processor the
    /// loop runs at once, and would have to wait for it.
    fn post(&self, message: Message) {
        let is_first = {
            let mut messages = self.messages();
            messages.push(message);
            messages.len() == 1
        };
        if is_first {
            // It can only fail when woken 2^64 times over.
            let _ = self.wake.wake();
        }
    }

    /// What rings anew when there are messages again.
    pub(super) const fn wake(&self) -> &EventFd {
        &self.wake
    }

    pub(super) fn take(&self) -> Vec<Message> {
        std::mem::take(&mut self.messages())
    }

    fn messages(&self) -> MutexGuard<'_, Vec<Message>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
