//! The two keys: both, from one place.

use std::fs;

use anyhow::Result;
use testbed::s3::{APP_KEY, KEY_ID};

use super::refused;
use crate::support::{bed, expect_cmd};

const REMEDY: &str = "set B2_KEY_ID and B2_APP_KEY, both, in the environment or in a file";

#[test]
fn missing_keys_are_named_with_every_place_that_was_looked_at() -> Result<()> {
    let bed = bed();
    fs::remove_file(bed.env_path())?;
    let path = bed.env_path().display().to_string();
    refused(
        &bed,
        |_| {},
        &[(
            "credentials",
            &format!("the environment, {path} (not there)"),
            REMEDY,
        )],
    );

    fs::write(&path, "OPENAI_API_KEY=sk-0123456789\n")?;
    refused(
        &bed,
        |_| {},
        &[("credentials", &format!("{path} (has neither)"), REMEDY)],
    );

    // An empty value is none.
    fs::write(&path, "B2_KEY_ID=\nB2_APP_KEY=\"\"\n")?;
    refused(
        &bed,
        |_| {},
        &[("credentials", &format!("{path} (has neither)"), REMEDY)],
    );
    Ok(())
}

#[test]
fn half_a_pair_is_refused_and_the_other_half_is_taken_from_nowhere_else() -> Result<()> {
    let bed = bed();
    let path = bed.env_path().display().to_string();
    // In the environment, though the file has both.
    for (there, value, missing) in [
        ("B2_KEY_ID", KEY_ID, "B2_APP_KEY"),
        ("B2_APP_KEY", APP_KEY, "B2_KEY_ID"),
    ] {
        let found = format!("the environment has {there} but not {missing}");
        refused(
            &bed,
            |command| {
                command.env(there, value);
            },
            &[("credentials", &found, REMEDY)],
        );
    }
    // In the file.
    for (there, value, missing) in [
        ("B2_KEY_ID", KEY_ID, "B2_APP_KEY"),
        ("B2_APP_KEY", APP_KEY, "B2_KEY_ID"),
    ] {
        fs::write(&path, format!("{there}={value}\n"))?;
        let found = format!("{path} has {there} but not {missing}");
        refused(&bed, |_| {}, &[("credentials", &found, REMEDY)]);
    }
    Ok(())
}

#[test]
fn a_file_that_cannot_be_read_is_named() -> Result<()> {
    let bed = bed();
    let path = bed.env_path().display().to_string();
    fs::remove_file(&path)?;
    fs::create_dir(&path)?;
    refused(
        &bed,
        |_| {},
        &[(
            "credentials",
            &format!("{path} cannot be read: Is a directory"),
            "--env-file",
        )],
    );
    Ok(())
}

#[test]
fn a_file_that_was_named_and_is_not_there_is_no_reason_to_look_elsewhere() -> Result<()> {
    let bed = bed();
    let named = bed.scratch().join("named.env").display().to_string();
    for args in [
        &["--env-file", &named, "run"][..],
        &["--env-file", &named, "check"],
    ] {
        let ran = expect_cmd(&bed, &mut bed.cmd(args), 3);
        let text = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            text.contains(&format!("{named} cannot be read: No such file"))
                && text.contains(REMEDY),
            "{ran}"
        );
    }
    assert!(bed.snapshots()?.is_empty() && bed.keys()?.is_empty());
    assert_eq!(bed.state()?["unmet"][0]["what"], "credentials");

    fs::rename(bed.env_path(), &named)?;
    expect_cmd(&bed, &mut bed.cmd(&["--env-file", &named, "check"]), 0);
    Ok(())
}
