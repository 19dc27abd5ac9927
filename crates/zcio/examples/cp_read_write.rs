//! `cp_read_write SOURCE SINK`: copies a file by read(2) and write(2).
//!
//! Every byte is copied twice, into the buffer and out of it, and every buffer costs two system calls. This is
//! what the other examples do without.

use std::env;
use std::error::Error;
use std::path::Path;

use zcio::sys::{self, OpenFlags};

const BUFFER: usize = 64 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<_> = env::args_os().skip(1).collect();
    let [source, sink] = &paths[..] else { return Err("usage: cp_read_write SOURCE SINK".into()) };
    let copied = copy(source.as_ref(), sink.as_ref())?;
    println!("{copied} bytes");
    Ok(())
}

fn copy(source: &Path, sink: &Path) -> sys::Result<u64> {
    let source = sys::open(source, OpenFlags::empty(), 0)?;
    let sink = sys::open(sink, OpenFlags::WRONLY | OpenFlags::CREAT | OpenFlags::TRUNC, 0o666)?;
    let mut buffer = vec![0; BUFFER];
    let mut copied = 0;
    loop {
        let read = sys::read(&source, &mut buffer)?;
        if read == 0 {
            return Ok(copied);
        }
        // write(2) may take less than it is given.
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            let written = sys::write(&sink, rest)?;
            rest = &rest[written..];
            copied += written as u64;
        }
    }
}
