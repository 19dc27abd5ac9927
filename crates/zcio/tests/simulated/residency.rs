//! An event loop's transfer asks before it touches a page, and goes to the disk pool when the answer is not yes.

use zcio::sys::Result;
use zcio::transfer::residency::remember;
use zcio::{Endpoint, Errno, Facts, Kind, Patience, Plumbing, Side, Step};

use crate::case::Case;
use crate::ends::Handle;
use crate::kernel::Simulated;

const UNKNOWN: Result<bool> = Err(Errno::OPNOTSUPP);

/// Two turns of a file to a socket: where it was probed, and the step.
fn first_step(case: &Case) -> (Vec<u64>, Step, Simulated) {
    let plumbing = Plumbing::new(case.kernel());
    let step = case.transfer().unwrap().advance(&plumbing, Patience::None);
    (plumbing.kernel.probed.take(), step, plumbing.kernel)
}

#[test]
fn a_cold_page_is_for_the_disk_pool_and_is_not_touched() {
    for resident in [vec![Ok(false)], vec![Ok(true), Ok(false)], vec![Err(Errno::INVAL)], vec![UNKNOWN]] {
        let (_, step, kernel) = first_step(&Case { resident, ..Case::plain(10_000, Kind::Socket) });
        assert!(matches!(step, Step::Disk));
        assert_eq!((kernel.fruitless.get(), kernel.accepted.borrow().len()), (0, 0), "a call was made");
    }
}

#[test]
fn pages_in_memory_are_sent_at_once() {
    for resident in [vec![], vec![UNKNOWN, Ok(true), UNKNOWN, Ok(true)]] {
        let (_, step, kernel) = first_step(&Case { resident, ..Case::plain(10_000, Kind::Socket) });
        assert!(matches!(step, Step::End(Ok(_))));
        assert_eq!(kernel.accepted.borrow().len(), 10_000);
    }
}

/// The first page may be hot where the rest is not.
#[test]
fn both_ends_of_what_is_sent_are_asked_for() {
    let probed = |length, request| {
        let case = Case { request, resident: vec![Ok(true), Ok(false)], ..Case::plain(length, Kind::Socket) };
        first_step(&case).0
    };
    let everything = zcio::Request::default();
    assert_eq!(probed(10_000, everything), [0, 9_999], "to the last byte of a file, not past it");
    assert_eq!(probed(1 << 20, everything), [0, (1 << 20) - 1]);
    let middle = zcio::Request { start: Some(100), length: Some(50), ..everything };
    assert_eq!(probed(10_000, middle), [100, 149]);
    let beyond = zcio::Request { start: Some(9_000), length: Some(5_000), ..everything };
    assert_eq!(probed(10_000, beyond), [9_000, 9_999]);
}

/// Writing a file can be throttled by its disk, however hot the source.
#[test]
fn a_file_is_always_written_by_the_disk_pool() {
    let (probed, step, _) = first_step(&Case::plain(10_000, Kind::File));
    assert!(matches!(step, Step::Disk));
    assert_eq!(probed, []);
}

#[test]
fn what_the_disk_pool_has_moved_is_taken_to_be_warm_until_it_is_modified() {
    let facts = |inode, modified| {
        let identity = zcio::endpoint::Identity { device: 77, inode, modified };
        Facts { identity, ..Case::plain(10_000, Kind::Socket).facts(Side::Source) }
    };
    let is_ready = |facts: Facts| {
        let case =
            Case { resident: vec![UNKNOWN, Ok(false), UNKNOWN, Ok(false)], ..Case::plain(9, Kind::Socket) };
        let kernel = case.kernel();
        let file = Endpoint::new(Handle::End(Side::Source), facts);
        zcio::transfer::residency::is_resident(&kernel, &file, 0, 9)
    };
    assert!(!is_ready(facts(1, (5, 0))));

    let kernel = Case { resident: vec![UNKNOWN], ..Case::plain(9, Kind::Socket) }.kernel();
    remember(&kernel, &Endpoint::new(Handle::End(Side::Source), facts(1, (5, 0))));
    assert!(is_ready(facts(1, (5, 0))));
    assert!(!is_ready(facts(1, (5, 1))), "another version of it");
    assert!(!is_ready(facts(2, (5, 0))), "another file");

    // Where the file system can be asked there is nothing to remember.
    let kernel = Case { resident: vec![Ok(true)], ..Case::plain(9, Kind::Socket) }.kernel();
    remember(&kernel, &Endpoint::new(Handle::End(Side::Source), facts(3, (5, 0))));
    assert!(!is_ready(facts(3, (5, 0))));
}
