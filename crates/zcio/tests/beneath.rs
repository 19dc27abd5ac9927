//! What opens beneath a directory and what does not: by openat2(2) where there is one, and by the walk, which has to
//! give the same answers.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use zcio::beneath;
use zcio::sys::{self, Errno, FileType, OpenFlags, Result};

const READ: OpenFlags = OpenFlags::empty();

/// What was opened, by its content or as what it is, or why not.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    File(String),
    Directory(u64),
    Link(u64),
    /// A file that cannot be read by this descriptor.
    Name(u64),
    Refused(Errno),
}

fn answer(opened: Result<std::os::fd::OwnedFd>) -> Answer {
    let file = match opened {
        Ok(file) => file,
        Err(errno) => return Answer::Refused(errno),
    };
    let stat = sys::stat(&file).unwrap();
    match stat.file_type() {
        FileType::Directory => return Answer::Directory(stat.inode),
        FileType::Symlink => return Answer::Link(stat.inode),
        _ => {}
    }
    let mut bytes = [0; 64];
    match sys::read(&file, &mut bytes) {
        Ok(length) => Answer::File(String::from_utf8_lossy(&bytes[..length]).into_owned()),
        Err(errno) => {
            assert_eq!(errno, Errno::BADF);
            Answer::Name(stat.inode)
        }
    }
}

/// Both ways, which agree.
fn asked(root: &Path, path: impl AsRef<Path>) -> Answer {
    asked_with(root, path, READ)
}

fn asked_with(root: &Path, path: impl AsRef<Path>, flags: OpenFlags) -> Answer {
    let directory = sys::open(root, OpenFlags::PATH | OpenFlags::DIRECTORY, 0).unwrap();
    let path = path.as_ref();
    let walked = answer(beneath::walk(&directory, path, flags));
    assert_eq!(answer(beneath::open(&directory, path, flags)), walked, "{} {flags:?}", path.display());
    walked
}

/// A secret beside the root, and in the root a file, a directory with one, and links of all kinds.
fn place() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::write(place.path().join("secret"), "secret").unwrap();
    fs::write(root.join("file"), "file").unwrap();
    fs::write(root.join("a/b/deep"), "deep").unwrap();
    (place, root)
}

#[test]
fn what_lies_beneath_is_opened() {
    let (_place, root) = place();
    for path in ["file", "./file", "a/../file", "a/b/../../file", "a//b/./../../file"] {
        assert_eq!(asked(&root, path), Answer::File("file".into()), "{path}");
    }
    for path in [".", "./", "a/..", "a/b/../.."] {
        assert!(matches!(asked(&root, path), Answer::Directory(_)), "{path}");
    }
    assert_eq!(asked(&root, "a/b"), asked(&root, "a/b/"));
}

#[test]
fn nothing_outside_is_opened() {
    let (place, root) = place();
    symlink("../secret", root.join("up")).unwrap();
    symlink(place.path().join("secret"), root.join("absolute")).unwrap();
    symlink(root.join("file"), root.join("absolute-inside")).unwrap();
    symlink("../../root/file", root.join("a/there-and-back")).unwrap();
    for path in [
        "..",
        "../secret",
        "a/../../secret",
        "a/b/../../../secret",
        "/etc/passwd",
        "/",
        "up",
        "absolute",
        "absolute-inside",
        "a/there-and-back",
        "up/x",
    ] {
        assert_eq!(asked(&root, path), Answer::Refused(Errno::XDEV), "{path}");
    }
}

#[test]
fn links_that_stay_inside_are_followed() {
    let (_place, root) = place();
    symlink("../file", root.join("a/file")).unwrap();
    symlink("a/b", root.join("b")).unwrap();
    symlink("b/", root.join("c")).unwrap();
    symlink("c/..", root.join("d")).unwrap();
    assert_eq!(asked(&root, "a/file"), Answer::File("file".into()));
    assert_eq!(asked(&root, "b/deep"), Answer::File("deep".into()));
    assert_eq!(asked(&root, "c/deep"), Answer::File("deep".into()));
    // From where the link leads, not from where it lies.
    assert_eq!(asked(&root, "d/b/deep"), Answer::File("deep".into()));
    assert_eq!(asked(&root, "b/../b/deep"), Answer::File("deep".into()));
}

#[test]
fn what_is_not_there_is_told_as_by_open() {
    let (_place, root) = place();
    symlink("nowhere", root.join("dangling")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("file/", root.join("file-slash")).unwrap();
    let long = "x".repeat(300);
    let longest = "./".repeat(2048);
    for (path, errno) in [
        ("", Errno::NOENT),
        ("none", Errno::NOENT),
        ("none/", Errno::NOENT),
        ("dangling", Errno::NOENT),
        ("dangling/x", Errno::NOENT),
        ("file/", Errno::NOTDIR),
        ("file/.", Errno::NOTDIR),
        ("file/x", Errno::NOTDIR),
        ("file/..", Errno::NOTDIR),
        ("file-slash", Errno::NOTDIR),
        ("loop", Errno::LOOP),
        ("loop/x", Errno::LOOP),
        ("zero\0byte", Errno::INVAL),
        (&long, Errno::NAMETOOLONG),
        (&longest, Errno::NAMETOOLONG),
    ] {
        assert_eq!(asked(&root, path), Answer::Refused(errno), "{path}");
    }
}

#[test]
fn a_last_link_is_followed_unless_the_caller_would_rather_not() {
    const NOFOLLOW: OpenFlags = OpenFlags::NOFOLLOW;
    const PATH: OpenFlags = OpenFlags::PATH;
    let (_place, root) = place();
    symlink("file", root.join("link")).unwrap();
    symlink("link", root.join("link-to-link")).unwrap();
    symlink("a", root.join("a-link")).unwrap();
    let a = asked(&root, "a");
    for (path, flags) in [("a-link/", NOFOLLOW), ("a-link/.", NOFOLLOW), ("a-link/b/..", PATH | NOFOLLOW)] {
        assert_eq!(asked_with(&root, path, flags), a, "{path}");
    }
    assert_eq!(asked_with(&root, "a-link/b/deep", NOFOLLOW), Answer::File("deep".into()));
    let Answer::Name(file) = asked_with(&root, "file", PATH) else { panic!("a file") };
    for path in ["link", "link-to-link"] {
        assert_eq!(asked_with(&root, path, NOFOLLOW), Answer::Refused(Errno::LOOP), "{path}");
        assert_eq!(asked_with(&root, path, PATH), Answer::Name(file), "{path}");
        assert!(matches!(asked_with(&root, path, PATH | NOFOLLOW), Answer::Link(_)), "{path}");
    }
    let directory = OpenFlags::DIRECTORY;
    assert_eq!(asked_with(&root, "a-link", directory | PATH), a);
    assert_eq!(asked_with(&root, "a-link", directory | NOFOLLOW), Answer::Refused(Errno::NOTDIR));
}

#[test]
fn nothing_is_created_where_the_path_ends_in_a_slash() {
    let (_place, root) = place();
    symlink("new/", root.join("link-slash")).unwrap();
    let create = OpenFlags::CREAT | OpenFlags::WRONLY;
    for (path, errno) in [
        ("new/", Errno::ISDIR),
        ("new//", Errno::ISDIR),
        ("a/new/", Errno::ISDIR),
        ("link-slash", Errno::ISDIR),
        ("link-slash/", Errno::ISDIR),
        ("file/", Errno::ISDIR),
        ("a/", Errno::ISDIR),
        ("a/..", Errno::ISDIR),
        ("a/../", Errno::ISDIR),
        ("./", Errno::ISDIR),
        ("new/.", Errno::NOENT),
        ("link-slash/.", Errno::NOENT),
        ("none/new/", Errno::NOENT),
        ("file/new/", Errno::NOTDIR),
        ("../new/", Errno::XDEV),
        ("../", Errno::XDEV),
    ] {
        assert_eq!(asked_with(&root, path, create), Answer::Refused(errno), "{path}");
    }
    assert!(!root.join("new").exists());
}

#[test]
fn forty_links_are_followed_and_no_more() {
    let (_place, root) = place();
    symlink("file", root.join("1")).unwrap();
    for number in 2..=41 {
        symlink((number - 1).to_string(), root.join(number.to_string())).unwrap();
    }
    assert_eq!(asked(&root, "40"), Answer::File("file".into()));
    assert_eq!(asked(&root, "41"), Answer::Refused(Errno::LOOP));
}

#[test]
fn without_waiting_the_answer_is_the_same_or_eagain() {
    let (_place, root) = place();
    symlink("../secret", root.join("up")).unwrap();
    let directory = sys::open(&root, OpenFlags::PATH | OpenFlags::DIRECTORY, 0).unwrap();
    for path in ["file", "a/b/deep", "none", "up", "../secret", "file/"] {
        let cached = answer(beneath::open_cached(&directory, path, READ));
        assert!(
            cached == Answer::Refused(Errno::AGAIN) || cached == asked(&root, path),
            "{path}: {cached:?}"
        );
    }
}

#[test]
fn a_link_swapped_in_meanwhile_leads_nowhere() {
    let (place, root) = place();
    fs::create_dir(place.path().join("b")).unwrap();
    fs::write(place.path().join("b/deep"), "secret").unwrap();
    symlink("../..", root.join("a/swap")).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let (b, swap, aside) = (root.join("a/b"), root.join("a/swap"), root.join("aside"));
                for (from, to) in [(&b, &aside), (&swap, &b), (&b, &swap), (&aside, &b)] {
                    fs::rename(from, to).unwrap();
                }
            }
        });
        let directory = sys::open(&root, OpenFlags::PATH | OpenFlags::DIRECTORY, 0).unwrap();
        let answers: Vec<Answer> = (0..2000)
            .flat_map(|_| {
                [
                    beneath::open(&directory, "a/b/deep", READ),
                    beneath::walk(&directory, "a/b/deep", READ),
                    beneath::walk(&directory, "a/b/../b/deep", READ),
                ]
            })
            .map(answer)
            .collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for answer in answers {
            let expected = match &answer {
                Answer::File(content) => content == "deep",
                // ENOTDIR: a link when it was opened, and a directory when it was read.
                Answer::Refused(errno) => matches!(*errno, Errno::NOENT | Errno::XDEV | Errno::NOTDIR),
                Answer::Directory(_) | Answer::Link(_) | Answer::Name(_) => false,
            };
            assert!(expected, "{answer:?}");
        }
    });
}

/// A path of a few names, so that many of them exist.
fn paths() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "c", "x", "y", "..", ".", "", "/"]);
    prop::collection::vec(name, 1..7).prop_map(|names| names.join("/"))
}

/// All ways to look at what is there.
fn looks() -> impl Strategy<Value = OpenFlags> {
    let flags = [OpenFlags::NOFOLLOW, OpenFlags::PATH, OpenFlags::DIRECTORY];
    prop::sample::subsequence(flags.to_vec(), 0..=3).prop_map(|flags| flags.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_walk_agrees_with_the_kernel(
        directories in prop::collection::vec(paths(), 0..4),
        files in prop::collection::vec(paths(), 0..4),
        links in prop::collection::vec((paths(), paths()), 0..6),
        wanted in prop::collection::vec((paths(), looks()), 1..12),
    ) {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("1/2/3/4/5/6/root");
        fs::create_dir_all(&root).unwrap();
        // What cannot be made is not there; an absolute path or one with too many `..` is left out.
        let inside = |path: &str| root.join(format!("./{path}"));
        let made = |path: &str| !path.starts_with('/');
        for path in directories.iter().filter(|path| made(path)) {
            let _ = fs::create_dir_all(inside(path));
        }
        for (at, path) in files.iter().enumerate().filter(|(_, path)| made(path)) {
            let _ = fs::write(inside(path), at.to_string());
        }
        for (target, path) in links.iter().filter(|(_, path)| made(path)) {
            let _ = symlink(target, inside(path));
        }
        for (path, flags) in &wanted {
            asked_with(&root, path, *flags);
        }
    }
}
