//! A clock for several processes.

use std::process::Command;

use anyhow::{Context, Result};
use testbed::Tools;
use testbed::clock::Clock;
use testbed::s3::S3;
use testbed::scratch::Scratch;

fn now(clock: Option<&Clock>) -> Result<i64> {
    let mut date = Command::new("date");
    date.arg("+%s")
        .envs(clock.map(Clock::env).unwrap_or_default());
    Ok(String::from_utf8(date.output()?.stdout)?.trim().parse()?)
}

#[test]
fn a_running_moto_and_a_new_process_follow_the_clock() -> Result<()> {
    let (scratch, tools) = (Scratch::new()?, Tools::locate()?);
    let clock = Clock::new(&tools, scratch.path())?;
    let s3 = S3::moto(&tools, Some(&clock))?;
    s3.create_bucket("bucket")?;
    let year = |key: &str| -> Result<String> {
        s3.put("bucket", key, b"x")?;
        let to = format!("s3:bucket/{key}");
        let ran = crate::rclone(&tools.rclone_old, &s3.endpoint(), "key", &["lsl", &to])?;
        let date = ran
            .stdout
            .split_whitespace()
            .nth(1)
            .with_context(|| ran.to_string())?;
        Ok(date[..4].to_owned())
    };
    let this_year = year("now")?;
    clock.set_offset_days(3 * 366)?;
    assert!((now(Some(&clock))? - now(None)? - 3 * 366 * 86_400).abs() <= 2);
    assert_eq!(
        year("later")?.parse::<i32>()?,
        this_year.parse::<i32>()? + 3
    );
    let later = (this_year.parse::<i32>()? + 3).to_string();
    assert!(s3.date()?.contains(&later), "{}", s3.date()?);
    clock.set_offset_days(0)?;
    assert_eq!(year("back")?, this_year);
    assert!(s3.date()?.contains(&this_year));
    Ok(())
}
