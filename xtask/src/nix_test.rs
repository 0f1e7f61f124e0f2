//! `cargo xtask nix-test`: the units against their golden files, the module evaluated, the files that it writes checked
//! by the binary, and its options against their documentation.
//!
//! Nothing is built and nothing fetched: `nix-instantiate` evaluates without a store. The module is evaluated under
//! tests/lib.nix, or under nixpkgs' `lib` where `NIXPKGS_LIB` names it.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Output};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use testbed::provision::workspace;

use crate::nix_eval;
use crate::steps::{debug_binary, target_dir};

const TESTS: &str = "nixos-module/tests";
/// Every option, written by `--bless`.
const OPTIONS: &str = "docs/nixos-options.md";

/// Runs all of it, and prints at the end what failed. `--bless` writes the golden files and the options' documentation
/// instead.
pub fn run(words: &[&str]) -> Result<ExitCode> {
    nix_eval::install()?;
    match words {
        [] => {}
        ["--bless"] => return bless(),
        other => bail!("nix-test takes --bless or nothing, not {}", other.join(" ")),
    }
    let binary = debug_binary()?;
    let mut problems = golden()?;
    say("unit files as golden/ has them", &problems);
    let more = defaults(&binary)?;
    say("tests/defaults.json as the binary has it", &more);
    problems.extend(more);
    for (what, part) in [
        (
            "the module's options, units and assertions",
            module as fn(&Path) -> Result<Vec<String>>,
        ),
        ("wrong values, each named by its option", refused),
        ("the files it writes, read by the binary", written),
        ("docs/nixos-options.md as the module has it", options),
    ] {
        let more = part(&binary)?;
        say(what, &more);
        problems.extend(more);
    }
    for problem in &problems {
        println!("\nnix-test: {problem}");
    }
    Ok(if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn say(what: &str, problems: &[String]) {
    let state = if problems.is_empty() { "ok" } else { "FAILED" };
    println!("nix-test: {state:<6} {what}");
}

/// `nix-instantiate` on one attribute of one of the test files.
fn instantiate(file: &str, attribute: &str) -> Result<Output> {
    nix_eval::instantiate(&format!("{TESTS}/{file}"), &["-A", attribute])
}

fn evaluate(file: &str, attribute: &str) -> Result<Value> {
    nix_eval::evaluate(&format!("{TESTS}/{file}"), &["-A", attribute])
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn golden() -> Result<Vec<String>> {
    let differences = evaluate("golden.nix", "differences")?;
    let problems = list(&differences).map(|difference| {
        let (old, new) = (text(difference, "golden"), text(difference, "rendered"));
        let only = |sign: char, these: &str, those: &str| -> String {
            these
                .lines()
                .filter(|line| !those.lines().any(|other| other == *line))
                .map(|line| format!("\n  {sign} {line}"))
                .collect()
        };
        format!(
            "{} is not what units.nix says (`cargo xtask nix-test --bless` writes it):{}{}",
            text(difference, "file"),
            only('-', old, new),
            only('+', new, old)
        )
    });
    Ok(problems.collect())
}

fn bless() -> Result<ExitCode> {
    let rendered = evaluate("golden.nix", "rendered")?;
    let golden = workspace().join(TESTS).join("golden");
    if golden.exists() {
        fs::remove_dir_all(&golden).context("remove the old golden files")?;
    }
    for (case, files) in rendered.as_object().into_iter().flatten() {
        let directory = golden.join(case);
        fs::create_dir_all(&directory)?;
        for (name, content) in files.as_object().into_iter().flatten() {
            fs::write(directory.join(name), content.as_str().unwrap_or_default())?;
        }
    }
    fs::write(workspace().join(OPTIONS), rendered_options()?)?;
    println!("nix-test: wrote {} and {OPTIONS}", golden.display());
    Ok(ExitCode::SUCCESS)
}

/// The options' documentation, as the module has it now.
fn rendered_options() -> Result<String> {
    let text = nix_eval::evaluate(&format!("{TESTS}/options-doc.nix"), &[])?;
    Ok(text.as_str().context("the options are no text")?.to_owned())
}

fn options(_: &Path) -> Result<Vec<String>> {
    let written = fs::read_to_string(workspace().join(OPTIONS)).unwrap_or_default();
    let wrong = written != rendered_options()?;
    Ok(wrong
        .then(|| {
            format!(
                "{OPTIONS} is not what options.nix says (`cargo xtask nix-test --bless` writes it)"
            )
        })
        .into_iter()
        .collect())
}

/// What the binary makes of a configuration: its exit code, its JSON, and what it said.
fn ask(binary: &Path, config: &Path) -> Result<(Option<i32>, Value, String)> {
    let output = Command::new(binary)
        .args(["--log", "stderr", "--config"])
        .arg(config)
        .args(["config", "--json"])
        .output()
        .with_context(|| format!("run {}", binary.display()))?;
    let answer = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.status.code(), answer, said))
}

fn defaults(binary: &Path) -> Result<Vec<String>> {
    let file = workspace().join(TESTS).join("defaults.json");
    let written: Value = serde_json::from_slice(&fs::read(&file)?)
        .with_context(|| format!("{} is no JSON", file.display()))?;
    let (_, answer, said) = ask(binary, Path::new("/dev/null"))?;
    Ok(if answer == written {
        Vec::new()
    } else {
        vec![format!(
            "{} is not what `opencode-backup config --json` prints without a file: {answer:#}\n{said}",
            file.display()
        )]
    })
}

fn module(_: &Path) -> Result<Vec<String>> {
    let failures = evaluate("module.nix", "failures")?;
    let problems = list(&failures).map(|failure| {
        format!(
            "{}:\n  expected {}\n  is       {}",
            text(failure, "name"),
            failure["expected"],
            failure["result"]
        )
    });
    Ok(problems.collect())
}

fn refused(_: &Path) -> Result<Vec<String>> {
    let names = evaluate("module.nix", "refusedNames")?;
    let mut problems = Vec::new();
    for name in list(&names).filter_map(Value::as_str) {
        let output = instantiate("module.nix", &format!("refused.\"{name}\""))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            problems.push(format!(
                "{name} accepts the wrong value in module/refused.nix"
            ));
        } else if !said.contains(name) {
            problems.push(format!(
                "{name} is not named where its value is refused: {said}"
            ));
        }
    }
    Ok(problems)
}

/// The whole way from an option to the binary: TOML in between, as at a system's build.
fn written(binary: &Path) -> Result<Vec<String>> {
    let file = target_dir().join("nix-test.toml");
    let mut problems = Vec::new();
    for case in list(&evaluate("module.nix", "accepted")?) {
        fs::write(&file, text(case, "toml"))?;
        let (code, answer, said) = ask(binary, &file)?;
        if code != Some(0) || without_nulls(answer.clone()) != case["settings"] {
            problems.push(format!(
                "the binary reads something else than the module wrote: {} became {answer} {said}",
                case["settings"]
            ));
        }
    }
    let unbuildable = evaluate("module.nix", "unbuildable")?;
    for (key, toml) in unbuildable.as_object().into_iter().flatten() {
        fs::write(&file, toml.as_str().unwrap_or_default())?;
        let (code, _, said) = ask(binary, &file)?;
        if code != Some(2) || !said.contains(&format!(": {key}: ")) {
            problems.push(format!(
                "{key} of module/unbuildable.nix: exit code {code:?}, {said}"
            ));
        }
    }
    fs::remove_file(&file)?;
    Ok(problems)
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(entries) => entries
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        other => other,
    }
}
