//! Prints headings, and figures with their targets.

/// Target of a figure.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    /// Describes the target, and the verdict for a value.
    pub fn judge(self, value: Option<f64>) -> String {
        let (sign, limit, met) = match self {
            Self::AtLeast(limit) => (">=", limit, value.map(|value| value >= limit)),
            Self::AtMost(limit) => ("<=", limit, value.map(|value| value <= limit)),
        };
        let verdict = match met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "not measured",
        };
        format!("target {sign} {limit}: {verdict}")
    }
}

/// Prints the heading of a part.
pub fn heading(title: &str) {
    println!("\n{title}");
    println!("{}", "-".repeat(title.chars().count()));
}

/// Prints a figure with its unit.
pub fn figure(name: &str, value: Option<f64>, unit: &str) {
    println!("{name:<58}{:>10} {unit}", number(value));
}

/// Prints a figure with its unit and its target.
pub fn figure_with_target(name: &str, value: Option<f64>, unit: &str, target: Target) {
    println!("{name:<58}{:>10} {unit:<4} {}", number(value), target.judge(value));
}

/// Formats a number with its significant digits.
pub fn number(value: Option<f64>) -> String {
    match value {
        None => "n/a".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

/// Returns the median. For an even count, the upper of the two middle values.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    percentile(values, 0.5)
}

/// Returns the value above this share of all values.
pub fn percentile(values: impl IntoIterator<Item = f64>, share: f64) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let at = (values.len() as f64 * share) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied()
}
