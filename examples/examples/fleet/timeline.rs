//! Who held what when, as one SVG picture: a row for each worker, a bar for each lease.

use std::collections::BTreeMap;
use std::fmt::Write;

use lease::{Lease, LeaseState};

const WIDTH: f64 = 1200.0;
const LABEL: f64 = 190.0;
const ROW: f64 = 26.0;
const TOP: f64 = 74.0;

/// Draws all leases. Rows are ordered by when their worker first held something.
pub(crate) fn draw(leases: &[&Lease]) -> String {
    let mut rows: BTreeMap<&str, Vec<&Lease>> = BTreeMap::new();
    for lease in leases {
        rows.entry(&lease.actor_id).or_default().push(lease);
    }
    let mut rows: Vec<(&str, Vec<&Lease>)> = rows.into_iter().collect();
    for (_, leases) in &mut rows {
        leases.sort_by_key(|lease| lease.issued_at);
    }
    rows.sort_by_key(|(_, leases)| leases.first().map(|lease| lease.issued_at));

    let start = rows
        .iter()
        .flat_map(|(_, leases)| leases.iter().map(|lease| lease.issued_at))
        .min()
        .unwrap_or(0);
    let end = rows
        .iter()
        .flat_map(|(_, leases)| leases.iter().map(|lease| ended_at(lease)))
        .max()
        .unwrap_or(1);
    let scale = Scale {
        start,
        nanos: end.saturating_sub(start).max(1),
    };

    let height = TOP + ROW * to_f64(rows.len() as u64) + 34.0;
    let mut svg = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _ = svg.write_fmt(text);
        svg.push('\n');
    };
    line(format_args!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
<text x="12" y="24" font-size="16" font-weight="bold">who held what when</text>
<text x="12" y="42" fill="#555">{} leases, {} workers, {:.1} s; a row is one worker process, a bar one lease</text>"##,
        rows.iter().map(|(_, leases)| leases.len()).sum::<usize>(),
        rows.len(),
        to_f64(scale.nanos) / 1e9,
    ));
    legend(&mut line);
    let bottom = TOP + ROW * to_f64(rows.len() as u64);
    axis(&scale, bottom, &mut line);
    for (index, (actor, leases)) in rows.iter().enumerate() {
        let y = TOP + ROW * to_f64(index as u64);
        line(format_args!(
            r#"<text x="{}" y="{}" text-anchor="end"><title>{actor}</title>{}</text>"#,
            LABEL - 10.0,
            y + 16.0,
            escape(&short(actor)),
            actor = escape(actor),
        ));
        for lease in leases {
            let (x, until) = (scale.x(lease.issued_at), scale.x(ended_at(lease)));
            let (color, how) = ending(lease);
            line(format_args!(
                r#"<rect x="{x:.2}" y="{}" width="{:.2}" height="{}" fill="{color}"><title>{} · {how} · {:.1} ms</title></rect>"#,
                y + 5.0,
                (until - x).max(0.6),
                ROW - 9.0,
                escape(&lease.work_id),
                to_f64(ended_at(lease).saturating_sub(lease.issued_at)) / 1e6,
            ));
        }
    }
    line(format_args!("</svg>"));
    svg
}

/// Where a point in time stands on the picture.
struct Scale {
    start: u64,
    nanos: u64,
}

impl Scale {
    fn x(&self, time: u64) -> f64 {
        LABEL + (WIDTH - LABEL - 20.0) * to_f64(time.saturating_sub(self.start)) / to_f64(self.nanos)
    }
}

fn ended_at(lease: &Lease) -> u64 {
    lease
        .terminated_at
        .unwrap_or(lease.expires_at)
        .max(lease.issued_at)
}

const ENDINGS: [(&str, &str); 4] = [
    ("#4c9f70", "released"),
    ("#e08e45", "expired"),
    ("#c0392b", "revoked"),
    ("#5b7db1", "still held"),
];

fn ending(lease: &Lease) -> (&'static str, &'static str) {
    match lease.state {
        LeaseState::Released => ENDINGS[0],
        LeaseState::Expired => ENDINGS[1],
        LeaseState::Revoked => ENDINGS[2],
        _ => ENDINGS[3],
    }
}

fn legend(line: &mut impl FnMut(std::fmt::Arguments<'_>)) {
    for (index, (color, how)) in ENDINGS.into_iter().enumerate() {
        let x = WIDTH - 400.0 + 95.0 * to_f64(index as u64);
        line(format_args!(
            r#"<rect x="{x}" y="14" width="12" height="12" fill="{color}"/><text x="{}" y="24">{how}</text>"#,
            x + 17.0
        ));
    }
}

fn axis(scale: &Scale, bottom: f64, line: &mut impl FnMut(std::fmt::Arguments<'_>)) {
    let seconds = to_f64(scale.nanos) / 1e9;
    let step = [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0]
        .into_iter()
        .find(|step| seconds / step <= 14.0)
        .unwrap_or(seconds / 10.0);
    let mut at = 0.0;
    while at <= seconds {
        let x = LABEL + (WIDTH - LABEL - 20.0) * at / seconds;
        line(format_args!(
            r##"<line x1="{x:.1}" x2="{x:.1}" y1="{}" y2="{bottom}" stroke="#ddd"/><text x="{x:.1}" y="{}" text-anchor="middle" fill="#555">{at} s</text>"##,
            TOP,
            bottom + 18.0,
        ));
        at = ((at + step) * 10.0).round() / 10.0;
    }
}

/// As much of an actor id as fits beside its row.
fn short(actor: &str) -> String {
    actor.chars().take(28).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a picture has some two thousand pixels"
)]
fn to_f64(number: u64) -> f64 {
    number as f64
}
