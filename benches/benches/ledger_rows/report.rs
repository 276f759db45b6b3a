//! How rows are printed.

use lease_benches::quantile;

/// What a ratio is to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// It is only told.
    None,
}

/// Prints the head of the table.
pub(crate) fn head(file_system: &str) {
    println!(
        "\nledger on {file_system}: medians of interleaved rounds beside one busy core; the ratio is ours to the peer's, spread \
         the middle half of the rounds'"
    );
    println!(
        "{:<26} {:<24} {:>14} {:>14} {:>7} {:>14} {:>8}  verdict",
        "row", "measure", "ours", "peer", "ratio", "spread", "target"
    );
}

/// Prints one line; returns how many targets it missed.
pub(crate) fn line(row: &str, measure: &str, ours: &[f64], theirs: &[f64], unit: &str, goal: Goal) -> usize {
    let ratios: Vec<f64> = ours
        .iter()
        .zip(theirs)
        .map(|(ours, theirs)| ours / theirs)
        .collect();
    let ratio = quantile(ratios.clone(), 0.5);
    let (target, is_reached) = match goal {
        Goal::AtLeast(least) => (format!(">= {least}"), ratio >= least),
        Goal::AtMost(most) => (format!("<= {most}"), ratio <= most),
        Goal::None => (String::new(), true),
    };
    let verdict = match goal {
        Goal::None => "",
        _ if is_reached => "ok",
        _ => "miss",
    };
    let figure = |of: &[f64]| format!("{} {unit}", rounded(quantile(of.to_vec(), 0.5)));
    let spread = format!(
        "{:.2} to {:.2}",
        quantile(ratios.clone(), 0.25),
        quantile(ratios, 0.75)
    );
    println!(
        "{row:<26} {measure:<24} {:>14} {:>14} {ratio:>7.2} {spread:>14} {target:>8}  {verdict}",
        figure(ours),
        figure(theirs),
    );
    usize::from(!is_reached)
}

/// Prints a figure that has no peer beside it.
pub(crate) fn note(row: &str, measure: &str, figures: &[f64], unit: &str) {
    let figure = rounded(quantile(figures.to_vec(), 0.5));
    println!("{row:<26} {measure:<24} {:>14}", format!("{figure} {unit}"));
}

/// Three digits of a small figure, all of a large one.
fn rounded(figure: f64) -> String {
    match figure {
        small if small < 10.0 => format!("{small:.2}"),
        medium if medium < 100.0 => format!("{medium:.1}"),
        large => format!("{large:.0}"),
    }
}
