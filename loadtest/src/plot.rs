//! A bar chart of ratios to the first server, as SVG.

use std::fmt::Write as _;

use crate::report::{ServerReports, ratio};

const BAR: f64 = 14.0;
const LABELS: f64 = 330.0;
const WIDTH: f64 = 980.0;
const COLOURS: [&str; 5] = ["#9aa0a6", "#1a73e8", "#12a150", "#e8710a", "#a142f4"];

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// How many times the first server's throughput (or its latency divided, for delivery). The axis is logarithmic.
pub(crate) fn ratios(all: &[ServerReports]) -> String {
    let Some(first) = all.first() else { return String::new() };
    let servers = all.len() as f64;
    let group = BAR * servers + 12.0;
    let height = 60.0 + group * first.reports.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (index, server) in all.iter().enumerate() {
        let x = LABELS + 130.0 * index as f64;
        let colour = COLOURS[index % COLOURS.len()];
        writeln!(
            out,
            "<rect x=\"{x}\" y=\"14\" width=\"10\" height=\"10\" fill=\"{colour}\"/><text x=\"{}\" y=\"23\">{}</text>",
            x + 14.0,
            escape(&server.server)
        )
        .expect("writing to a string");
    }
    let scale = |ratio: f64| ((ratio.max(0.1).log10() + 1.0) / 3.0 * (WIDTH - LABELS - 80.0)).max(1.0);
    for (row, base) in first.reports.iter().enumerate() {
        let top = 40.0 + group * row as f64;
        writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LABELS - 8.0,
            top + group / 2.0,
            escape(&base.scenario)
        )
        .expect("writing to a string");
        for (index, server) in all.iter().enumerate() {
            let Some(report) = server.reports.get(row) else { continue };
            let ratio = ratio(report, base);
            let (y, width) = (top + BAR * index as f64, scale(ratio));
            let colour = COLOURS[index % COLOURS.len()];
            writeln!(
                out,
                "<rect x=\"{LABELS}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{}\">{ratio:.1}×</text>",
                BAR - 2.0,
                LABELS + width + 4.0,
                y + BAR - 4.0
            )
            .expect("writing to a string");
        }
    }
    out.push_str("</svg>\n");
    out
}
