//! On which thread a task has its turns: what can wait on a disk never has one on the executor's.

use std::collections::HashSet;
use std::io::Seek;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Instant;

use zcio::sys::{self, Events, Fd, Interest};
use zcio::{
    Cause, Ending, Endpoint, Facts, Kernel, Linux, Patience, Plumbing, Request, Task, Transfer, Turn,
};

use crate::common::{assert_same, bytes, content, file, receive};
use crate::{runtime, socket};

/// A transfer that notes who gave it a turn, and how patient that was.
struct Observed {
    transfer: Transfer<Linux<'static>>,
    turns: Turns,
}

type Turns = Arc<Mutex<Vec<(Patience, ThreadId)>>>;

impl Task<Linux<'static>> for Observed {
    type Ending = Ending;

    fn turn(&mut self, plumbing: &Plumbing<Linux<'static>>, patience: Patience) -> Turn<Ending> {
        self.turns.lock().unwrap().push((patience, thread::current().id()));
        self.transfer.turn(plumbing, patience)
    }

    fn give_up(&mut self, plumbing: &Plumbing<Linux<'static>>, cause: Cause, end: Option<usize>) -> Ending {
        self.transfer.give_up(plumbing, cause, end)
    }

    fn blame_cancel(ending: &mut Ending) {
        Transfer::<Linux<'static>>::blame_cancel(ending);
    }

    fn ends(&self) -> usize {
        self.transfer.ends()
    }

    fn handle_of(&self, end: usize) -> &Fd<'static> {
        self.transfer.handle_of(end)
    }

    fn facts_of(&self, end: usize) -> &Facts {
        self.transfer.facts_of(end)
    }

    fn interest(&self, end: usize) -> Interest {
        self.transfer.interest(end)
    }

    fn waits_for(&self, end: usize) -> Interest {
        self.transfer.waits_for(end)
    }

    fn notice(&mut self, end: usize, events: Events) {
        self.transfer.notice(end, events);
    }

    fn deadline(&self) -> Option<Instant> {
        self.transfer.deadline()
    }

    fn progress(&self) -> [u64; 2] {
        self.transfer.progress()
    }
}

fn observe(source: impl Into<Fd<'static>>, sink: impl Into<Fd<'static>>) -> (Observed, Turns) {
    let [source, sink] = [source.into(), sink.into()].map(|handle| Endpoint::of(handle).unwrap());
    let transfer = Transfer::new(source, sink, Request::default()).unwrap();
    let turns = Turns::default();
    (Observed { transfer, turns: Arc::clone(&turns) }, turns)
}

/// The threads of turns of this patience.
fn threads(turns: &Turns, patience: Patience) -> HashSet<ThreadId> {
    let turns = turns.lock().unwrap();
    turns.iter().filter(|turn| turn.0 == patience).map(|turn| turn.1).collect()
}

#[test]
fn copies_between_files_are_made_on_blocking_threads() {
    let sink = file(b"");
    let (task, turns) =
        observe(sys::duplicate(file(&bytes(3_000_001))).unwrap(), sys::duplicate(&sink).unwrap());
    runtime().block_on(zcio::tokio::drive(task)).unwrap();
    assert_same(&content(&sink), &bytes(3_000_001));
    let patient = threads(&turns, Patience::Disk);
    assert!(!patient.is_empty() && !patient.contains(&thread::current().id()));
}

#[test]
fn what_is_not_in_memory_is_sent_from_blocking_threads() {
    let source = file(&bytes(3_000_001));
    let lives_in_memory = Linux::new().lives_in_memory(&sys::duplicate(&source).unwrap().into());
    // What the kernel is busy with stays in memory, and a fast disk has it there at once: then it was as good as warm.
    let is_sent_cold = || {
        source.sync_all().unwrap();
        (&source).rewind().unwrap();
        sys::advise_dontneed(&source, 0, 0).unwrap();
        let (sink, peer) = socket();
        let received = receive(peer);
        let (task, turns) = observe(sys::duplicate(&source).unwrap(), sys::duplicate(sink).unwrap());
        runtime().block_on(zcio::tokio::drive(task)).unwrap();
        assert_same(&received.join().unwrap(), &bytes(3_000_001));
        let patient = threads(&turns, Patience::Disk);
        assert!(!patient.contains(&thread::current().id()));
        assert_eq!(threads(&turns, Patience::None), HashSet::from([thread::current().id()]));
        !patient.is_empty()
    };
    assert_eq!((0..10).any(|_| is_sent_cold()), !lives_in_memory);
}

#[test]
fn what_is_in_memory_and_what_comes_from_a_peer_stays_on_the_executor() {
    let memory = crate::common::file_elsewhere(&bytes(3_000_001));
    let (sink, peer) = socket();
    let received = receive(peer);
    let (task, turns) = observe(sys::duplicate(memory).unwrap(), sys::duplicate(sink).unwrap());
    runtime().block_on(zcio::tokio::drive(task)).unwrap();
    assert_same(&received.join().unwrap(), &bytes(3_000_001));
    assert!(threads(&turns, Patience::Disk).is_empty());
}
