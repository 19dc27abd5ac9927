//! The route table is data, and this is what it says.

use zcio::endpoint::Identity;
use zcio::transfer::route::{self, Fan, Pair, RULES, Rule};
use zcio::{Errno, Facts, Kind, Mechanism, Mechanisms, Request};

use Mechanism::{CopyFileRange, ReadWrite, Reflink, Sendfile, Splice};

fn end(kind: Kind) -> Facts {
    let identity = Identity { device: 1, inode: 1, modified: (0, 0) };
    let size = if kind == Kind::File { 5000 } else { 0 };
    Facts { kind, size, identity, ..Facts::stream_socket() }
}

fn empty_file() -> Facts {
    Facts { size: 0, ..end(Kind::File) }
}

/// The rule that keeps these ends from using `mechanism`, by name.
fn refusal(mechanism: Mechanism, source: Facts, sink: Facts, request: Request) -> Option<&'static str> {
    let pair = Pair { source: &source, sink: &sink, request: &request };
    route::ruled_out(mechanism, pair).map(|rule| rule.code)
}

#[test]
fn every_ladder_is_in_order_and_ends_with_what_can_move_anything() {
    for source in Kind::ALL {
        for sink in Kind::ALL {
            let ladder = route::ladder(source, sink);
            assert!(ladder.is_sorted(), "{source:?} to {sink:?}");
            assert_eq!(ladder.last(), Some(&ReadWrite), "{source:?} to {sink:?}");
        }
    }
}

#[test]
fn files_have_ways_that_others_have_not() {
    assert_eq!(route::ladder(Kind::File, Kind::File), [Reflink, CopyFileRange, Sendfile, Splice, ReadWrite]);
    for kind in Kind::ALL.into_iter().filter(|&kind| kind != Kind::File) {
        let to = if kind == Kind::Pipe { Splice } else { Sendfile };
        assert_eq!(route::ladder(Kind::File, kind), [to, ReadWrite]);
        for sink in Kind::ALL {
            assert_eq!(route::ladder(kind, sink), [Splice, ReadWrite], "from {kind:?} to {sink:?}");
        }
    }
}

#[test]
fn nothing_rules_out_read_and_write() {
    for rule in RULES {
        assert!(!rule.excludes.contains(&ReadWrite), "{}", rule.code);
    }
}

#[test]
fn rules_have_names_reasons_and_something_to_exclude() {
    for (index, Rule { code, reason, excludes, .. }) in RULES.iter().enumerate() {
        assert!(code.chars().all(|c| c.is_ascii_uppercase() || c == '_'), "{code}");
        assert!(!reason.is_empty() && !reason.ends_with('.') && !excludes.is_empty(), "{code}");
        assert!(RULES[..index].iter().all(|other| other.code != *code), "{code} is there twice");
    }
}

#[test]
fn a_plain_pair_is_ruled_out_of_nothing() {
    for (source, sink) in [(end(Kind::File), empty_file()), (end(Kind::File), end(Kind::Socket))] {
        for &mechanism in route::ladder(source.kind, sink.kind) {
            assert_eq!(refusal(mechanism, source, sink, Request::default()), None, "{mechanism:?}");
        }
    }
}

#[test]
fn a_snapshot_is_not_sent_by_reference_but_files_may_share_blocks() {
    let snapshot = Request { snapshot: true, ..Request::default() };
    for kind in [Kind::Pipe, Kind::Socket, Kind::CharDevice, Kind::Other] {
        assert_eq!(refusal(Sendfile, end(Kind::File), end(kind), snapshot), Some("SNAPSHOT"));
        assert_eq!(refusal(Splice, end(Kind::File), end(kind), snapshot), Some("SNAPSHOT"));
        assert_eq!(
            refusal(Splice, end(kind), end(Kind::Socket), snapshot),
            None,
            "nobody writes to a stream"
        );
    }
    for mechanism in [Reflink, CopyFileRange, Sendfile, Splice] {
        assert_eq!(refusal(mechanism, end(Kind::File), empty_file(), snapshot), None);
    }
}

/// A pipe takes it nevertheless: the flag means nothing there.
#[test]
fn an_appending_sink_takes_writes_only() {
    for mechanism in [Reflink, CopyFileRange, Sendfile, Splice] {
        for kind in [Kind::File, Kind::Socket, Kind::CharDevice] {
            let sink = Facts { append: true, ..end(kind) };
            assert_eq!(refusal(mechanism, end(Kind::File), sink, Request::default()), Some("O_APPEND"));
        }
    }
    let pipe = Facts { append: true, ..end(Kind::Pipe) };
    assert_eq!(refusal(Splice, end(Kind::File), pipe, Request::default()), None);
}

#[test]
fn a_file_that_goes_round_the_page_cache_has_no_pages_to_send() {
    let direct = |facts| Facts { direct: true, ..facts };
    let (file, socket) = (end(Kind::File), end(Kind::Socket));
    assert_eq!(refusal(Sendfile, direct(file), socket, Request::default()), Some("O_DIRECT"));
    assert_eq!(refusal(Sendfile, file, direct(empty_file()), Request::default()), Some("O_DIRECT"));
    assert_eq!(refusal(Splice, socket, direct(empty_file()), Request::default()), Some("O_DIRECT"));
    assert_eq!(refusal(CopyFileRange, direct(file), empty_file(), Request::default()), None);
}

#[test]
fn only_a_whole_file_is_cloned_and_only_into_an_empty_one() {
    let whole = Request::default();
    let clones = |source, sink, request| refusal(Reflink, source, sink, request).is_none();
    let (file, none) = (end(Kind::File), empty_file());
    assert!(clones(file, none, whole));
    assert!(clones(file, none, Request { start: Some(0), sink_start: Some(0), ..whole }));
    assert!(clones(file, none, Request { length: Some(5000), ..whole }));
    assert!(clones(Facts { position: 9, ..file }, none, Request { start: Some(0), ..whole }));

    assert!(!clones(file, none, Request { start: Some(1), ..whole }));
    assert!(!clones(file, none, Request { sink_start: Some(1), ..whole }));
    assert!(!clones(file, none, Request { length: Some(4999), ..whole }));
    assert!(!clones(Facts { position: 9, ..file }, none, whole));
    assert!(!clones(file, Facts { position: 9, ..none }, whole));
    assert!(!clones(file, file, whole), "the sink has something in it");
    assert!(!clones(none, none, whole), "files of /proc say they are empty, and are not");
    assert_eq!(refusal(Reflink, file, file, whole), Some("RANGE"));
}

/// sendfile(2) has an offset for the source only. libuv/libuv#3056.
#[test]
fn sendfile_cannot_write_at_an_offset() {
    let request = Request { sink_start: Some(0), ..Request::default() };
    assert_eq!(refusal(Sendfile, end(Kind::File), empty_file(), request), Some("SINK_START"));
    assert_eq!(refusal(CopyFileRange, end(Kind::File), empty_file(), request), None);
    assert_eq!(refusal(Splice, end(Kind::File), empty_file(), request), None);
}

#[test]
fn a_blocking_socket_holds_up_nobody_but_its_own_thread() {
    let socket = Facts { nonblocking: false, ..end(Kind::Socket) };
    let asynchronous = Request { asynchronous: true, ..Request::default() };
    assert_eq!(refusal(Sendfile, end(Kind::File), socket, asynchronous), Some("BLOCKING_SOCKET"));
    assert_eq!(refusal(Sendfile, end(Kind::File), socket, Request::default()), None);
    for (source, sink) in [(socket, end(Kind::Pipe)), (end(Kind::Pipe), socket)] {
        assert_eq!(refusal(Splice, source, sink, asynchronous), Some("BLOCKING_SOCKET"));
        assert_eq!(refusal(Splice, source, sink, Request::default()), None);
    }
    assert_eq!(refusal(Sendfile, end(Kind::File), end(Kind::Socket), asynchronous), None);
}

/// oven-sh/bun#13968 (eCryptfs), oven-sh/bun#25534, oven-sh/bun#1675, golang/go#79660.
#[test]
fn not_this_way_is_not_the_same_as_not_at_all() {
    for errno in [
        Errno::INVAL,
        Errno::XDEV,
        Errno::OPNOTSUPP,
        Errno::NOSYS,
        Errno::PERM,
        Errno::BADF,
        Errno::IO,
        Errno::ACCES,
        Errno::TXTBSY,
        Errno::NOTTY,
        Errno::OVERFLOW,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
    ] {
        assert!(route::demotes(errno), "{errno}");
    }
    for errno in
        [Errno::NOSPC, Errno::DQUOT, Errno::FBIG, Errno::PIPE, Errno::CONNRESET, Errno::AGAIN, Errno::STALE]
    {
        assert!(!route::demotes(errno), "{errno}");
    }
}

fn copies(source: Facts, sinks: &[Kind], switched_off: Mechanisms) -> Option<&'static str> {
    let sinks: Vec<Facts> = sinks.iter().map(|kind| end(*kind)).collect();
    let sinks: Vec<&Facts> = sinks.iter().collect();
    route::copies(Fan { source: &source, sinks: &sinks, switched_off }).map(|rule| rule.code)
}

#[test]
fn a_fan_out_duplicates_references_for_one_sink_and_where_at_least_half_are_pipes() {
    let copies = |sinks: &[Kind]| copies(end(Kind::Socket), sinks, Mechanisms::NONE);
    assert_eq!(copies(&[Kind::Socket]), None);
    assert_eq!(copies(&[Kind::Pipe; 64]), None);
    assert_eq!(copies(&[Kind::Pipe, Kind::Socket]), None);
    assert_eq!(copies(&[Kind::Socket; 2]), Some("FEW_PIPES"));
    assert_eq!(copies(&[Kind::File, Kind::Pipe, Kind::Socket]), Some("FEW_PIPES"));
}

#[test]
fn a_fan_out_copies_where_splice_is_switched_off_for_all_or_for_an_end() {
    let off = Mechanisms::from_iter([Splice]);
    let pipes = [Kind::Pipe; 2];
    assert_eq!(copies(end(Kind::File), &pipes, off), Some("SWITCHED_OFF"));
    assert_eq!(copies(end(Kind::File), &pipes, Mechanisms::from_iter([Sendfile])), None);
    let source = Facts { switched_off: off, ..end(Kind::File) };
    assert_eq!(copies(source, &pipes, Mechanisms::NONE), Some("SWITCHED_OFF"));
}
