use std::io;

use zcio::sys::{self, Errno};

#[test]
fn an_error_is_named_and_told_as_node_does() {
    let told = [
        (Errno::AGAIN, "EAGAIN: resource temporarily unavailable"),
        (Errno::BADF, "EBADF: bad file descriptor"),
        (Errno::CONNRESET, "ECONNRESET: connection reset by peer"),
        (Errno::INVAL, "EINVAL: invalid argument"),
        (Errno::NOSPC, "ENOSPC: no space left on device"),
        (Errno::OPNOTSUPP, "ENOTSUP: operation not supported on socket"),
        (Errno::PIPE, "EPIPE: broken pipe"),
        (Errno::TOOBIG, "E2BIG: argument list too long"),
        (Errno::XDEV, "EXDEV: cross-device link not permitted"),
    ];
    for (error, text) in told {
        assert_eq!(error.to_string(), text);
        assert_eq!(format!("{error:?}"), text);
        assert_eq!(text, format!("{}: {}", error.name(), error.description()));
    }
}

#[test]
fn every_number_linux_has_is_named_and_no_two_alike() {
    // Two numbers were never given out: 41 would be EWOULDBLOCK, 58 EDEADLOCK.
    let numbers = (1..=133).filter(|number| ![41, 58].contains(number));
    let mut names: Vec<_> = numbers.map(|number| Errno::from_raw(number).name()).collect();
    assert!(!names.contains(&"UNKNOWN"));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 131);
}

#[test]
fn an_error_without_a_name_keeps_its_number() {
    let error = Errno::from_raw(524);
    assert_eq!(error.raw(), 524);
    assert_eq!(error.name(), "UNKNOWN");
    assert_eq!(error.to_string(), "UNKNOWN: unknown error 524");
}

#[test]
fn an_error_becomes_the_one_of_std() {
    let error = io::Error::from(Errno::PIPE);
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(error.raw_os_error(), Some(Errno::PIPE.raw()));
}

#[test]
fn an_offset_that_no_file_can_have_never_reaches_the_kernel() {
    // A descriptor that cannot do any of this: were the kernel asked, it would say so instead.
    let epoll = sys::Epoll::new().unwrap();
    let flags = sys::SpliceFlags::empty();
    for offset in [1 << 63, u64::MAX] {
        let (mut one, mut two) = (offset, offset);
        let answers = [
            sys::sendfile(&epoll, &epoll, Some(&mut one), 1).err(),
            sys::splice(&epoll, Some(&mut one), &epoll, None, 1, flags).err(),
            sys::splice(&epoll, None, &epoll, Some(&mut two), 1, flags).err(),
            sys::copy_file_range(&epoll, Some(&mut one), &epoll, Some(&mut two), 1).err(),
            sys::reflink_range(&epoll, offset, &epoll, 0, 1).err(),
            sys::reflink_range(&epoll, 0, &epoll, offset, 1).err(),
            sys::reflink_range(&epoll, 0, &epoll, 0, offset).err(),
            sys::pread(&epoll, &mut [0], offset).err(),
            sys::pwrite(&epoll, &[0], offset).err(),
            sys::read_resident(&epoll, &mut [0], Some(offset)).err(),
            sys::seek_to(&epoll, offset).err(),
            sys::seek_data(&epoll, offset).err(),
            sys::seek_hole(&epoll, offset).err(),
            sys::truncate(&epoll, offset).err(),
            sys::advise_willneed(&epoll, offset, 1).err(),
            sys::advise_dontneed(&epoll, 0, offset).err(),
        ];
        assert_eq!(answers, [Some(Errno::OVERFLOW); 16]);
        assert_eq!((one, two), (offset, offset));
    }
}
