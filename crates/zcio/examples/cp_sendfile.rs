//! `cp_sendfile SOURCE SINK [CHUNK]`: copies a file by sendfile(2), so many bytes a call.
//!
//! No buffer: the kernel writes the pages it has of the source to the sink. One call could move 2 GiB; a chunk is
//! where the program may do something else, such as to tell how far it is.

use std::env;
use std::error::Error;
use std::path::Path;

use zcio::sys::{self, OpenFlags};

const CHUNK: usize = 1024 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let (source, sink, chunk) = match &arguments[..] {
        [source, sink] => (source, sink, CHUNK),
        [source, sink, chunk] => (source, sink, chunk.parse()?),
        _ => return Err("usage: cp_sendfile SOURCE SINK [CHUNK]".into()),
    };
    let copied = copy(source.as_ref(), sink.as_ref(), chunk)?;
    println!("{copied} bytes");
    Ok(())
}

fn copy(source: &Path, sink: &Path, chunk: usize) -> sys::Result<u64> {
    let source = sys::open(source, OpenFlags::empty(), 0)?;
    let sink = sys::open(sink, OpenFlags::WRONLY | OpenFlags::CREAT | OpenFlags::TRUNC, 0o666)?;
    let mut offset = 0;
    // Each call moves `offset` on by what it has sent, which may be less than a chunk; 0 is the end of the file.
    while sys::sendfile(&sink, &source, Some(&mut offset), chunk)? > 0 {}
    Ok(offset)
}
