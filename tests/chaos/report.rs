//! The table of all scenarios.

use std::time::Duration;

use crate::checker::{Finding, Kind};

/// Most findings shown of one scenario.
const SHOWN: usize = 20;

/// The result of a scenario.
#[derive(Debug)]
pub struct Report {
    pub name: &'static str,
    /// Number of calls.
    pub operations: u64,
    /// Number of acknowledged writes.
    pub acknowledged: usize,
    pub findings: Vec<Finding>,
    /// Time from the end of each trouble to the first acknowledged write.
    pub recovered: Vec<Duration>,
}

impl Report {
    /// Returns the heading of the table.
    pub fn heading() -> String {
        let heading =
            row(["scenario", "operations", "acknowledged", "lost", "doubled", "other faults", "recovered in"]);
        let rule = heading.chars().map(|letter| if letter == '|' { '|' } else { '-' }).collect::<String>();
        format!("{heading}\n{rule}")
    }

    /// Returns the row of the table. The recovery is the slowest.
    pub fn row(&self) -> String {
        let count = |kind: Kind| self.findings.iter().filter(|finding| finding.kind == kind).count();
        let (lost, doubled) = (count(Kind::Lost), count(Kind::Doubled));
        let slowest = self.recovered.iter().max().map(|time| format!("{:.2} s", time.as_secs_f64()));
        row([
            self.name,
            &self.operations.to_string(),
            &self.acknowledged.to_string(),
            &lost.to_string(),
            &doubled.to_string(),
            &(self.findings.len() - lost - doubled).to_string(),
            slowest.as_deref().unwrap_or("-"),
        ])
    }

    /// Returns a line for each finding.
    pub fn lines(&self) -> Vec<String> {
        let shown = self.findings.iter().take(SHOWN);
        let mut lines: Vec<String> =
            shown.map(|finding| format!("{}: {:?}: {}", self.name, finding.kind, finding.text)).collect();
        if self.findings.len() > SHOWN {
            lines.push(format!("{}: and {} more", self.name, self.findings.len() - SHOWN));
        }
        lines
    }
}

/// Returns a row of the table for a scenario without a result.
pub fn remark(name: &str, remark: &str) -> String {
    format!("| {name:<42} | {remark}")
}

fn row([name, operations, acknowledged, lost, doubled, others, recovered]: [&str; 7]) -> String {
    format!(
        "| {name:<42} | {operations:>10} | {acknowledged:>12} | {lost:>4} | {doubled:>7} | {others:>12} | {recovered:>12} |"
    )
}
