//! probe
use crate::support::*;
#[test]
fn probe() {
    let bed = bed();
    for args in [&["check"][..], &["check", "--remote", "--json"], &["check", "--remote"], &["list"], &["run", "--dry-run"], &["run","--dry-run","--json"], &["run","--json"], &["list"], &["list","--json"], &[], &["nope"], &["run", "--nope"], &["-v","-q","list"], &["--log","journal","list"], &["--help"], &["help", "run"]] {
        let ran = bed.run(args).unwrap();
        println!("=== {args:?}\n{ran}");
    }
}
