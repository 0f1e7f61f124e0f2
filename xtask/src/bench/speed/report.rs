//! The table, for people, and all figures, for programs.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use testbed::Tools;
use testbed::process::run;
use testbed::provision::workspace;

use super::bars::Bar;
use super::chart;
use super::figures::{Cell, Figure, Figures};
use super::route::{Rival, Route, Work};
use crate::bench::Effort;

/// What it was measured on, and with.
pub struct Machine {
    lines: Vec<(&'static str, String)>,
}

impl Machine {
    /// Looks around.
    pub fn look() -> Result<Self> {
        let tools = Tools::locate()?;
        let first = |command: &mut Command| -> Result<String> {
            let said = run(command)?;
            Ok(said.lines().next().unwrap_or_default().trim().to_owned())
        };
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let mut found = text.lines().filter(|line| line.starts_with(name));
            let value = found.next().and_then(|line| line.split_once(':'));
            value.map_or_else(String::new, |(_, value)| value.trim().to_owned())
        };
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let cpu = field(&read("/proc/cpuinfo"), "model name");
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let commit = ["rev-parse", "--short", "HEAD"];
        let commit = run(Command::new("git").args(commit).current_dir(workspace()));
        let load = read("/proc/loadavg");
        let lines = vec![
            (
                "machine",
                format!("{cores} cores, {cpu}, {memory} of memory"),
            ),
            (
                "kernel",
                read("/proc/sys/kernel/osrelease").trim().to_owned(),
            ),
            (
                "load before",
                load.split(' ').take(3).collect::<Vec<_>>().join(" "),
            ),
            (
                "commit",
                commit.map_or_else(|_| "-".to_owned(), |id| id.trim().to_owned()),
            ),
            (
                "rclone",
                first(Command::new(&tools.rclone_new).arg("version"))?,
            ),
            ("restic", first(Command::new("restic").arg("version"))?),
            (
                "data by",
                first(Command::new(&tools.redis_server).arg("--version"))?,
            ),
        ];
        Ok(Self { lines })
    }
}

/// Everything that is published.
pub struct Report<'a> {
    /// What it was measured on.
    pub machine: Machine,
    /// How thoroughly.
    pub effort: Effort,
    /// The figures.
    pub figures: &'a Figures,
    /// The bars.
    pub bars: &'a [Bar],
    /// How long it took.
    pub took: Duration,
}

impl Report<'_> {
    /// Prints it, writes `speed.md`, `.json` and `.svg`, and says what is missed.
    pub fn publish(&self, dir: &Path) -> Result<ExitCode> {
        let text = self.markdown();
        println!("\n{text}");
        fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        let stem = dir.join("speed");
        fs::write(stem.with_extension("md"), &text)?;
        let json = serde_json::to_string_pretty(&self.json())?;
        fs::write(stem.with_extension("json"), json + "\n")?;
        fs::write(
            stem.with_extension("svg"),
            chart::draw(self.figures, self.effort),
        )?;
        println!("written to {}.md, .json and .svg", stem.display());
        let missed: Vec<&Bar> = self
            .bars
            .iter()
            .filter(|bar| bar.holds == Some(false))
            .collect();
        for bar in &missed {
            eprintln!("MISSED: {}: {}", bar.what, bar.found);
        }
        Ok(if missed.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn markdown(&self) -> String {
        let mut text = String::from("# Speed\n\n");
        for (name, value) in &self.machine.lines {
            writeln!(text, "- {name}: {value}").ok();
        }
        let (minutes, seconds) = (self.took.as_secs() / 60, self.took.as_secs() % 60);
        let flag = if self.effort == Effort::Quick {
            " --quick"
        } else {
            ""
        };
        writeln!(
            text,
            "- `cargo xtask bench{flag}`, {minutes} min {seconds} s\n"
        )
        .ok();
        text += "\
            Times are medians, with the quickest and the slowest run. The multiples say how long a run takes,\n\
            measured by (a), (c) and (e). CPU time and memory are those of all of a rival's processes; a program's\n\
            own file counts once in the memory, however many of them run it. (a) sends\n\
            everything each time: its first backup stands for all its works. (e) is the bytes that have changed\n\
            over the rate, and two round trips; on loopback it is `cp` of the same files. Everybody starts with an\n\
            empty page cache, but for the programs.\n";
        text += &self.overview();
        for route in Route::ALL {
            let cells = self
                .figures
                .cells()
                .into_iter()
                .filter(|cell| cell.0 == route);
            let rows: Vec<[String; 9]> = cells.flat_map(|cell| self.rows(cell)).collect();
            if rows.is_empty() {
                continue;
            }
            let head = [
                "", "time", "× (a)", "× (c)", "× (e)", "MiB up", "requests", "CPU", "memory",
            ];
            writeln!(text, "\n## {}\n", route.name()).ok();
            text += &table(&head.map(str::to_owned), &rows);
        }
        text += "\n## Bars\n\n";
        let head = ["what", "found", "holds"].map(str::to_owned);
        let rows = self.bars.iter().map(|bar| {
            let holds = match bar.holds {
                Some(true) => "holds",
                Some(false) => "MISSED",
                None => "-",
            };
            [bar.what.clone(), bar.found.clone(), holds.to_owned()]
        });
        text + &table(&head, &rows.collect::<Vec<_>>())
    }

    /// A line a work: seconds of everybody, and what the two that send least send.
    fn overview(&self) -> String {
        let head = [
            "seconds",
            "(a)",
            "(b) ours",
            "(c)",
            "(d)",
            "(e)",
            "MiB up, (b)",
            "MiB up, (c)",
        ];
        let number = |found: f64| match found {
            found if found.is_finite() => format!("{found:.2}"),
            _ => "-".to_owned(),
        };
        let cells = self.figures.cells().into_iter();
        let rows = cells.map(|cell| {
            let (route, kind, work) = cell;
            let data = kind.name(route.amount(self.effort));
            let [a, b, c, d] = Rival::ALL.map(|rival| number(self.figures.wall(cell, rival)));
            let [ours, theirs] = [Rival::Ours, Rival::Restic].map(|rival| {
                let figure = self.figures.of(cell, rival);
                number(figure.map_or(f64::NAN, Figure::up))
            });
            let what = format!("{}; {data}: {}", route.name(), work.name());
            [
                what,
                a,
                format!("**{b}**"),
                c,
                d,
                number(self.figures.least(cell)),
                ours,
                theirs,
            ]
        });
        let rows: Vec<[String; 8]> = rows.collect();
        format!(
            "\n## Overview\n\n{}",
            table(&head.map(str::to_owned), &rows)
        )
    }

    fn rows(&self, cell: Cell) -> Vec<[String; 9]> {
        let (route, kind, work) = cell;
        let mut rows = vec![std::array::from_fn(|_| String::new())];
        rows[0][0] = format!(
            "**{}: {}**",
            kind.name(route.amount(self.effort)),
            work.name()
        );
        let [script, restic] =
            [Rival::Script, Rival::Restic].map(|rival| self.figures.wall(cell, rival));
        let least = self.figures.least(cell);
        let times = |wall: f64, by: f64| match wall / by {
            found if found.is_finite() => format!("{found:.2}"),
            _ => "-".to_owned(),
        };
        for rival in Rival::ALL {
            let Some(figure) = self.figures.of(cell, rival) else {
                continue;
            };
            let wall = figure.wall();
            let (quickest, slowest) = figure.spread();
            rows.push([
                rival.name().to_owned(),
                format!("{wall:.2} s ({quickest:.2}–{slowest:.2})"),
                times(wall, script),
                times(wall, restic),
                times(wall, least),
                format!("{:.2}", figure.up()),
                figure.requests().to_string(),
                format!("{:.2} s", figure.cpu()),
                format!("{:.0} MiB", figure.peak()),
            ]);
        }
        if least.is_finite() {
            let mut row: [String; 9] = std::array::from_fn(|_| String::new());
            row[0] = "(e) the limit".to_owned();
            row[1] = format!("{least:.2} s");
            rows.push(row);
        }
        rows
    }

    fn json(&self) -> Value {
        let mut machine = Map::new();
        for (name, value) in &self.machine.lines {
            machine.insert((*name).to_owned(), value.as_str().into());
        }
        let cells = self.figures.cells().into_iter();
        let figures = cells.flat_map(|cell| {
            let least = Some(self.figures.least(cell)).filter(|least| least.is_finite());
            let each = Rival::ALL.into_iter();
            each.filter(move |rival| rival.differs(cell.2))
                .filter_map(move |rival| self.figures.of(cell, rival))
                .map(move |figure| figure_json(figure, self.effort, least))
        });
        let figures: Vec<Value> = figures.collect();
        let bars = self.bars.iter();
        let bars =
            bars.map(|bar| json!({ "what": bar.what, "found": bar.found, "holds": bar.holds }));
        json!({
            "machine": machine,
            "quick": self.effort == Effort::Quick,
            "took_seconds": self.took.as_secs(),
            "figures": figures,
            "bars": bars.collect::<Vec<_>>(),
        })
    }
}

fn figure_json(figure: &Figure, effort: Effort, least: Option<f64>) -> Value {
    let amount = figure.route.amount(effort);
    let requests = figure.requests();
    let requests: Map<String, Value> = requests
        .named()
        .map(|(name, n)| (name.to_owned(), n.into()))
        .collect();
    let walls = figure
        .samples
        .iter()
        .map(|one| one.usage.took.wall.as_secs_f64());
    json!({
        "link": figure.route.name(), "data": figure.kind.name(amount), "work": figure.work.name(),
        "stands_for_all_works": figure.work == Work::First && figure.rival == Rival::Script,
        "who": figure.rival.name(), "seconds": figure.wall(), "runs": walls.collect::<Vec<_>>(),
        "least_seconds": least, "mib_up": figure.up(), "requests": requests,
        "cpu_seconds": figure.cpu(), "peak_mib": figure.peak(),
    })
}

/// Padded, so that it reads well unrendered too.
fn table<const N: usize>(head: &[String; N], rows: &[[String; N]]) -> String {
    let dashes: [String; N] = std::array::from_fn(|_| "---".to_owned());
    let lines: Vec<&[String; N]> = [head, &dashes].into_iter().chain(rows).collect();
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|at| width(at).unwrap_or(0));
    let mut text = String::new();
    for line in lines {
        let cells = line
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        writeln!(text, "| {} |", cells.collect::<Vec<_>>().join(" | ")).ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::speed::route::{Kind, Work};

    #[test]
    fn the_overview_has_a_line_for_each_work_and_no_number_for_what_was_not_measured() {
        let mut figures = Figures::default();
        let sample = crate::bench::speed::figures::tests::sample(Duration::from_secs(3));
        for work in [Work::First, Work::Unchanged] {
            figures.add((Route::Near, Kind::Large, work), Rival::Ours, sample);
        }
        let report = Report {
            machine: Machine { lines: Vec::new() },
            effort: Effort::Full,
            figures: &figures,
            bars: &[],
            took: Duration::ZERO,
        };
        let text = report.overview();
        let rows: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("**3.00**"))
            .collect();
        assert_eq!(rows.len(), 2, "{text}");
        let cells: Vec<&str> = rows[1].split('|').map(str::trim).collect();
        assert_eq!(
            cells[1],
            "30 ms, 100 Mbit/s; 32 MiB in 3 files: nothing changed"
        );
        assert_eq!(cells[2..9], ["-", "**3.00**", "-", "-", "-", "1.00", "-"]);
    }

    #[test]
    fn a_table_has_a_head_a_rule_and_lines_of_one_width() {
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        let text = table(&row("what", "×"), &[row("a", "1.00"), row("b", "22.00")]);
        let widths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert_eq!(widths, [16; 4], "{text}");
        assert!(
            text.lines()
                .nth(1)
                .is_some_and(|rule| rule.starts_with("| ---"))
        );
    }
}
