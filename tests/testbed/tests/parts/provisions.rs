//! What is installed stays installed.

use std::time::{Duration, Instant};

use anyhow::Result;
use testbed::Tools;
use testbed::provision::ensure;

#[test]
fn a_second_provisioning_says_nothing_and_takes_no_time() -> Result<()> {
    ensure(&mut |_| {})?;
    let (mut said, start) = (Vec::new(), Instant::now());
    ensure(&mut |line| said.push(line.to_owned()))?;
    assert_eq!(said, Vec::<String>::new());
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    let tools = Tools::locate()?;
    assert!(
        tools.redis_cli.is_file() && tools.rclone_new.is_file(),
        "{tools:?}"
    );
    Ok(())
}
