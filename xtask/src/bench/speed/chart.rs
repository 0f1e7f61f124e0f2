//! The same as a picture: a panel for each link, a group of bars for each work.
//!
//! The surprise: no crate draws it. It is rectangles and text, and the smallest one
//! that we found brings more code than the whole benchmark.

use std::fmt::Write as _;

use super::figures::{Cell, Figures};
use super::route::{Rival, Route};
use crate::bench::Effort;

const WIDTH: f64 = 960.0;
/// Where bars begin and how long the longest is.
const LEFT: f64 = 150.0;
const LONGEST: f64 = 700.0;
const BAR: f64 = 13.0;
const HEADING: f64 = 22.0;
const PANEL: f64 = 34.0;
const TOP: f64 = 30.0;
const INK: &str = "#24292f";

/// Ours stands out, the limit stands back.
const COLOURS: [&str; 5] = ["#8c959f", "#0969da", "#bf8700", "#6e7781", "#d0d7de"];

/// Draws it. Each panel has a scale of its own, from zero.
pub fn draw(figures: &Figures, effort: Effort) -> String {
    let mut body = String::new();
    let mut y = TOP;
    text(
        &mut body,
        (16.0, y),
        17,
        "bold",
        "Seconds for a backup; shorter is better",
    );
    for route in Route::ALL {
        let cells: Vec<Cell> = figures
            .cells()
            .into_iter()
            .filter(|cell| cell.0 == route)
            .collect();
        let longest = cells
            .iter()
            .flat_map(|cell| bars(figures, *cell))
            .map(|(_, _, seconds)| seconds)
            .fold(0.0, f64::max);
        if longest <= 0.0 {
            continue;
        }
        y += PANEL;
        text(&mut body, (16.0, y), 15, "bold", route.name());
        for cell in cells {
            let (_, kind, work) = cell;
            y += HEADING;
            let title = format!("{}: {}", kind.name(route.amount(effort)), work.name());
            text(&mut body, (16.0, y), 12, "bold", &title);
            y += 6.0;
            for (name, colour, seconds) in bars(figures, cell) {
                let length = (seconds / longest * LONGEST).max(1.0);
                let height = BAR - 2.0;
                writeln!(
                    body,
                    "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{height}\" fill=\"{colour}\"/>"
                )
                .ok();
                text(&mut body, (24.0, y + height - 1.0), 11, "normal", name);
                let label = format!("{seconds:.2} s");
                text(
                    &mut body,
                    (LEFT + length + 6.0, y + height - 1.0),
                    11,
                    "normal",
                    &label,
                );
                y += BAR;
            }
        }
    }
    let height = y + 20.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
         height=\"{height:.0}\" font-family=\"system-ui, sans-serif\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

/// Name, colour and seconds of all that were measured, and of the limit.
fn bars(figures: &Figures, cell: Cell) -> Vec<(&'static str, &'static str, f64)> {
    let rivals = Rival::ALL.into_iter().zip(COLOURS);
    let measured = rivals.map(|(rival, colour)| (rival.name(), colour, figures.wall(cell, rival)));
    let limit = ("(e) the limit", COLOURS[4], figures.least(cell));
    measured
        .chain([limit])
        .filter(|bar| bar.2.is_finite())
        .collect()
}

fn text(body: &mut String, (x, y): (f64, f64), size: u8, weight: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    writeln!(
        body,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" font-weight=\"{weight}\" fill=\"{INK}\">{words}</text>"
    )
    .ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::speed::route::{Kind, Work};
    use std::time::Duration;

    #[test]
    fn a_chart_has_a_bar_for_each_figure_and_closes_what_it_opens() {
        let mut figures = Figures::default();
        assert_eq!(draw(&figures, Effort::Quick).matches("<rect").count(), 1);
        let cell = (Route::Near, Kind::Large, Work::First);
        let sample = crate::bench::speed::figures::tests::sample(Duration::from_secs(3));
        figures.add(cell, Rival::Ours, sample);
        figures.limit(cell, Duration::from_secs(1));
        let svg = draw(&figures, Effort::Quick);
        assert_eq!(svg.matches("<rect").count(), 3, "{svg}");
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert!(
            svg.contains("width=\"700.0\"") && svg.contains("width=\"233.3\""),
            "{svg}"
        );
        assert!(svg.ends_with("</svg>\n"));
    }
}
