//! `cp SOURCE SINK`: copies anything to anything by the best means there are, and says which these were.
//!
//! Files that share blocks, files on two disks, FIFOs, files of /proc: nothing to decide here.

use std::env;
use std::error::Error;
use std::fs::File;

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<_> = env::args_os().skip(1).collect();
    let [source, sink] = &paths[..] else { return Err("usage: cp SOURCE SINK".into()) };
    let outcome = zcio::transfer(&File::open(source)?, &File::create(sink)?)?;
    println!("{} bytes by {}", outcome.bytes, outcome.mechanism.name());
    for fallback in outcome.fallbacks {
        println!("not by {}: {}", fallback.mechanism.name(), fallback.code);
    }
    Ok(())
}
