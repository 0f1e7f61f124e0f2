//! The rows of a benchmark, printed and kept.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// One line: what was measured, and what it has to hold.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// Ours, as a person reads it.
    pub ours: String,
    /// What it is compared with, where there is such a thing.
    pub beside: String,
    /// What the two come to.
    pub value: f64,
    /// The most it may be, unless it is there to be known.
    pub bar: Option<f64>,
    /// What both are counted in: `×`, ` s`, ` MiB`.
    pub unit: &'static str,
}

impl Row {
    /// Whether the bar is cleared.
    pub fn holds(&self) -> bool {
        self.bar.is_none_or(|bar| self.value <= bar)
    }

    fn cells(&self) -> [String; 6] {
        [
            self.what.clone(),
            self.ours.clone(),
            self.beside.clone(),
            format!("{:.3}{}", self.value, self.unit),
            self.bar
                .map_or_else(|| "-".to_owned(), |bar| format!("≤ {bar}{}", self.unit)),
            match (self.bar, self.holds()) {
                (None, _) => "-",
                (_, true) => "yes",
                (_, false) => "NO",
            }
            .to_owned(),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "what": self.what, "ours": self.ours, "beside": self.beside, "value": self.value,
            "unit": self.unit.trim(), "bar": self.bar, "holds": self.holds(),
        })
    }
}

/// Prints the table, in which ours stands beside something, writes it to `dir/NAME.md` and `.json`, and names what misses.
pub fn publish(name: &str, beside: &str, rows: &[Row], dir: &Path) -> Result<ExitCode> {
    let text = markdown(beside, rows);
    println!("\n{text}");
    fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    let stem = dir.join(name);
    fs::write(stem.with_extension("md"), &text)?;
    let values: Vec<Value> = rows.iter().map(Row::json).collect();
    let json = serde_json::to_string_pretty(&values)?;
    fs::write(stem.with_extension("json"), json + "\n")?;
    println!("written to {}.md and .json", stem.display());
    let missed: Vec<&str> = rows
        .iter()
        .filter(|row| !row.holds())
        .map(|row| row.what.as_str())
        .collect();
    if missed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: missed: {}", missed.join("; "));
    Ok(ExitCode::FAILURE)
}

/// Padded, so that it reads well unrendered too.
fn markdown(beside: &str, rows: &[Row]) -> String {
    let head = ["what", "ours", beside, "value", "bar", "holds"].map(str::to_owned);
    let lines: Vec<[String; 6]> = [head]
        .into_iter()
        .chain(rows.iter().map(Row::cells))
        .collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..6).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        let cells = line.iter().zip(&widths);
        let padded: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(&format!("| {} |\n", padded.join(" | ")));
        if at == 0 {
            let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            text.push_str(&format!("| {} |\n", dashes.join(" | ")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: f64) -> Row {
        Row {
            what: "time".to_owned(),
            ours: "1.0 s".to_owned(),
            beside: "1.0 s".to_owned(),
            value,
            bar: Some(1.05),
            unit: "×",
        }
    }

    #[test]
    fn a_bar_is_cleared_up_to_its_very_value() {
        assert!(row(1.05).holds());
        assert!(!row(1.06).holds());
        assert!(!row(f64::NAN).holds());
        let known = Row {
            bar: None,
            ..row(9.0)
        };
        assert!(known.holds());
    }

    #[test]
    fn the_table_is_a_table() {
        let text = markdown("by hand", &[row(1.0), row(2.0)]);
        assert_eq!(text.lines().count(), 4);
        let widths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{text}");
        assert!(text.contains("| NO "));
    }
}
