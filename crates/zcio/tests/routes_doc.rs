//! docs/routes.md is the route table, printed.

use std::fmt::Write;
use std::path::Path;

use zcio::transfer::route::{FAN_OUT_RULES, REASONS, RULES, demotes, ladder};
use zcio::{Errno, Kind, Mechanism};

#[test]
fn the_documented_routes_are_those_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/routes.md");
    let printed = page();
    if std::env::var_os("ZCIO_PRINT_ROUTES").is_some() {
        std::fs::write(&path, &printed).unwrap();
    }
    let documented = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        documented == printed,
        "docs/routes.md is not what the table says; print it anew: \
         ZCIO_PRINT_ROUTES=1 cargo test -p zcio --test routes_doc"
    );
}

fn page() -> String {
    let mut page = String::from(
        "# Routes

Printed from [`route.rs`](../crates/zcio/src/transfer/route.rs), where the table is; not to be edited here
(`ZCIO_PRINT_ROUTES=1 cargo test -p zcio --test routes_doc` prints it anew).

A transfer tries the mechanisms of its row from left to right, unless a rule strikes one out, and goes on with the next
at the exact byte where one is refused. `plan(source, sink)` tells what that comes to for two given ends.

## Ladders

",
    );
    row(&mut page, &["source".into()], &Kind::ALL.map(|kind| format!("to {}", name(kind))));
    row(&mut page, &["---".into()], &Kind::ALL.map(|_| "---".into()));
    for source in Kind::ALL {
        let cells = Kind::ALL.map(|sink| words(ladder(source, sink), ", "));
        row(&mut page, &[format!("**{}**", name(source))], &cells);
    }
    rules(&mut page);
    fan_out(&mut page);
    refusals(&mut page);
    reasons(&mut page);
    page
}

fn rules(page: &mut String) {
    page.push_str(
        "
## Rules

What strikes a mechanism out before anything is called; `code` is its name in `fallbacks` and in `plan().refused`.

",
    );
    row(page, &["code".into()], &["strikes out".into(), "since".into()]);
    row(page, &["---".into()], &["---".into(), "---".into()]);
    for rule in RULES {
        row(page, &[format!("`{}`", rule.code)], &[words(rule.excludes, ", "), rule.reason.into()]);
    }
}

fn fan_out(page: &mut String) {
    page.push_str(
        "
## One source, many sinks

`fanOut` duplicates references by `tee(2)` and moves them by `splice`, unless one of these makes it read once and write to
every sink (`read_write`); `code` is its name in `fallbacks`.

",
    );
    row(page, &["code".into()], &["since".into()]);
    row(page, &["---".into()], &["---".into()]);
    for rule in FAN_OUT_RULES {
        row(page, &[format!("`{}`", rule.code)], &[rule.reason.into()]);
    }
}

fn refusals(page: &mut String) {
    let names: Vec<_> =
        (1..134).map(Errno::from_raw).filter(|errno| demotes(*errno)).map(Errno::name).collect();
    write!(
        page,
        "
## Refusals

What the kernel may answer without failing the transfer: {}. `fallbacks` then has the name, and the next mechanism takes
over. One that moves nothing although the source is not at its end (`EMPTY`), or although both ends are ready
(`NO_PROGRESS`), is given up as well.
",
        names.join(", ")
    )
    .unwrap();
}

fn reasons(page: &mut String) {
    page.push_str(
        "
## What each does

The first that applies to two ends is the `reason` in `plan().mechanisms`.

",
    );
    for mechanism in Mechanism::ALL {
        writeln!(page, "- `{}`", mechanism.name()).unwrap();
        for entry in REASONS.iter().filter(|entry| entry.mechanism == mechanism) {
            writeln!(page, "  - {}", entry.reason).unwrap();
        }
    }
}

fn row(page: &mut String, first: &[String], others: &[String]) {
    writeln!(page, "| {} |", [first, others].concat().join(" | ")).unwrap();
}

fn words(mechanisms: &[Mechanism], between: &str) -> String {
    mechanisms.iter().map(|mechanism| format!("`{}`", mechanism.name())).collect::<Vec<_>>().join(between)
}

/// The kinds in the words of a reader.
const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "regular file",
        Kind::Pipe => "pipe, FIFO",
        Kind::Socket => "stream socket",
        Kind::CharDevice => "character device",
        Kind::Other => "other",
    }
}
