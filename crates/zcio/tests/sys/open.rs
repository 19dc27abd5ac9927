use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::Path;

use zcio::sys::{self, Errno, FileType, OpenFlags, ResolveFlags};

const READ: OpenFlags = OpenFlags::empty();

/// Whether this kernel, or the sandbox around it, has openat2(2) at all.
fn openat2_is_missing(error: Errno) -> bool {
    matches!(error, Errno::NOSYS | Errno::PERM)
}

#[test]
fn a_file_is_created_with_the_mode_given_and_opened_relative_to_a_directory() {
    let place = tempfile::tempdir().unwrap();
    let directory = sys::open(place.path(), OpenFlags::DIRECTORY | OpenFlags::PATH, 0).unwrap();
    let new = OpenFlags::WRONLY | OpenFlags::CREAT | OpenFlags::EXCL;
    let file = sys::openat(&directory, "file", new, 0o600).unwrap();
    assert_eq!(sys::stat(&file).unwrap().mode & 0o7777, 0o600);
    assert_eq!(sys::openat(&directory, "file", new, 0o600).err(), Some(Errno::EXIST));
    let found = sys::open(place.path().join("file"), READ, 0).unwrap();
    assert_eq!(sys::stat(&found).unwrap().inode, sys::stat(&file).unwrap().inode);
}

#[test]
fn what_cannot_be_opened_says_why() {
    let place = tempfile::tempdir().unwrap();
    let link = place.path().join("link");
    symlink("nowhere", &link).unwrap();
    let refused = |path: &Path, flags| sys::open(path, flags, 0).err();
    assert_eq!(refused(&link, READ), Some(Errno::NOENT));
    assert_eq!(refused(&link, OpenFlags::NOFOLLOW), Some(Errno::LOOP));
    assert_eq!(refused(place.path(), OpenFlags::WRONLY), Some(Errno::ISDIR));
    assert_eq!(refused(Path::new("/dev/null/x"), READ), Some(Errno::NOTDIR));
    assert_eq!(refused(Path::new("zero\0byte"), READ), Some(Errno::INVAL));
    assert_eq!(refused(Path::new(&"x".repeat(300)), READ), Some(Errno::NAMETOOLONG));
    let itself = sys::open(&link, OpenFlags::PATH | OpenFlags::NOFOLLOW, 0).unwrap();
    assert_eq!(sys::stat(&itself).unwrap().file_type(), FileType::Symlink);
}

#[test]
fn every_new_descriptor_is_closed_on_exec() {
    let (reader, writer) = sys::pipe().unwrap();
    let file = sys::open("/dev/null", READ, 0).unwrap();
    let (twin, memfd) = (sys::duplicate(&file).unwrap(), sys::memfd(c"test", false).unwrap());
    for fd in [&reader, &writer, &file, &twin, &memfd] {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()));
        let info = info.unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
        let flags = i32::from_str_radix(flags.trim(), 8).unwrap();
        assert_ne!(flags & libc::O_CLOEXEC, 0, "{info}");
    }
}

#[test]
fn beneath_a_directory_no_path_escapes() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("secret"), "").unwrap();
    let root = place.path().join("root");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("file"), "").unwrap();
    symlink("../secret", root.join("up")).unwrap();
    symlink("/etc/passwd", root.join("away")).unwrap();
    symlink("file", root.join("inside")).unwrap();
    let root = sys::open(&root, OpenFlags::DIRECTORY | OpenFlags::PATH, 0).unwrap();
    let opened = |path: &str| sys::openat2(&root, path, READ, 0, ResolveFlags::BENEATH);
    if opened("file").is_err_and(openat2_is_missing) {
        return;
    }
    assert!(opened("inside").is_ok());
    for path in ["../secret", "up", "away", "/etc/passwd"] {
        assert_eq!(opened(path).err(), Some(Errno::XDEV), "{path}");
    }
    let strict = sys::openat2(&root, "inside", READ, 0, ResolveFlags::NO_SYMLINKS);
    assert_eq!(strict.err(), Some(Errno::LOOP));
    let mode = sys::openat2(&root, "file", READ, 0o600, ResolveFlags::BENEATH);
    assert_eq!(mode.err(), Some(Errno::INVAL));
}

#[test]
fn a_path_that_was_just_walked_is_cached() {
    let file = tempfile::NamedTempFile::new().unwrap();
    drop(sys::open(file.path(), READ, 0).unwrap());
    match sys::open_cached(file.path(), READ) {
        Ok(opened) => {
            assert_eq!(sys::stat(&opened), sys::stat(file.as_file()));
            let created = sys::open_cached(file.path(), OpenFlags::TRUNC | OpenFlags::WRONLY);
            assert_eq!(created.err(), Some(Errno::AGAIN));
        }
        // Before Linux 5.12 the flag is unknown.
        Err(error) => assert!(openat2_is_missing(error) || error == Errno::INVAL, "{error}"),
    }
}
