//! Who held what when, as one SVG picture: a row for each holder (or work item), a bar for each lease.
//!
//! The picture stands on its own: one file without scripts or fonts, which a browser shows with the details of a bar
//! under the pointer. It stays readable from one lease to thousands: leases that overlap in a row share its height, and
//! beyond [`MOST_ROWS`] rows the least busy ones share the last.

mod rows;
mod scale;

use std::fmt::Write as _;

use lease::{Lease, LeaseState};

use self::rows::{Bar, Row};
use self::scale::Scale;
use crate::time::{moment, span};

/// How many rows there are at most.
pub const MOST_ROWS: usize = 40;

const WIDTH: f64 = 1200.0;
const LABEL: f64 = 212.0;
const COUNT: f64 = 120.0;
const ROW: f64 = 26.0;
const TOP: f64 = 88.0;
const BOTTOM: f64 = 44.0;

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// One holder; the bars are named by their work items.
    Holder,
    /// One work item; the bars are named by their holders.
    Work,
}

impl By {
    fn rows(self, count: usize) -> String {
        counted(
            count,
            match self {
                Self::Holder => "holder",
                Self::Work => "work item",
            },
        )
    }
}

/// Draws leases as they stand at `now`, in Unix nanoseconds. Rows are ordered by when something was first held there.
pub fn draw(leases: &[&Lease], by: By, now: u64) -> String {
    let scale = Scale::of(leases, now);
    let (rows, total) = rows::arrange(leases, by, MOST_ROWS);
    let height = TOP + ROW * to_f64(rows.len() as u64) + BOTTOM;
    let mut picture = Picture(String::new());
    picture.line(format_args!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="system-ui, sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="16" y="30" font-size="19" font-weight="600" fill="#1f2933">Who held what when</text>"##,
    ));
    picture.line(format_args!(
        r##"<text x="16" y="52" fill="#52606d">{}, {}{}</text>"##,
        counted(leases.len(), "lease"),
        by.rows(total),
        if leases.is_empty() {
            String::new()
        } else {
            format!(", {} from {} UTC", span(scale.nanos()), moment(scale.start()))
        },
    ));
    legend(&mut picture);
    let bottom = TOP + ROW * to_f64(rows.len() as u64);
    if rows.is_empty() {
        picture.line(format_args!(
            r##"<text x="16" y="{}" fill="#52606d">There is no lease to show.</text>"##,
            TOP + 8.0
        ));
    }
    for (index, row) in rows.iter().enumerate() {
        draw_row(row, TOP + ROW * to_f64(index as u64), index, &scale, &mut picture);
    }
    if !rows.is_empty() {
        axis(&scale, bottom, &mut picture);
    }
    picture.line(format_args!("</svg>"));
    picture.0
}

/// SVG on its way into a text.
struct Picture(String);

impl Picture {
    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.0.write_fmt(text);
        self.0.push('\n');
    }
}

fn draw_row(row: &Row<'_>, y: f64, index: usize, scale: &Scale, picture: &mut Picture) {
    let stripe = if index.is_multiple_of(2) {
        "#f5f7fa"
    } else {
        "#ffffff"
    };
    picture.line(format_args!(
        r#"<rect x="0" y="{y}" width="{WIDTH}" height="{ROW}" fill="{stripe}"/>"#
    ));
    picture.line(format_args!(
        r##"<text x="{}" y="{}" text-anchor="end" fill="#1f2933"><title>{}</title>{}</text>"##,
        LABEL - 12.0,
        y + 17.5,
        escape(&row.name),
        escape(&shortened(&row.name, 25)),
    ));
    picture.line(format_args!(
        r##"<text x="{}" y="{}" fill="#7b8794" font-size="11">{}</text>"##,
        WIDTH - COUNT + 12.0,
        y + 17.5,
        counted(row.bars.len(), "lease"),
    ));
    let lane = (ROW - 7.0) / to_f64(row.lanes as u64);
    for bar in &row.bars {
        draw_bar(
            bar,
            y + 3.5 + lane * to_f64(bar.lane as u64),
            lane,
            scale,
            picture,
        );
    }
}

fn draw_bar(bar: &Bar<'_>, y: f64, lane: f64, scale: &Scale, picture: &mut Picture) {
    let lease = bar.lease;
    let ending = Ending::of(lease);
    let until = ended_at(lease).min(scale.now().max(lease.issued_at));
    let (x, end) = (scale.x(lease.issued_at), scale.x(until));
    let width = (end - x).max(1.5);
    let height = (lane - 1.0).max(1.0);
    let radius = if height > 6.0 && width > 14.0 { 2.5 } else { 0.0 };
    // What an active lease still has before it.
    if ending == Ending::Held && scale.x(lease.expires_at) > end {
        picture.line(format_args!(
            r#"<rect x="{end:.2}" y="{y:.2}" width="{:.2}" height="{height:.2}" fill="{}" opacity="0.25"/>"#,
            scale.x(lease.expires_at) - end,
            ending.color(),
        ));
    }
    picture.line(format_args!(
        r#"<rect x="{x:.2}" y="{y:.2}" width="{width:.2}" height="{height:.2}" rx="{radius}" fill="{}"><title>{} · {} · {} · {} · token {}</title></rect>"#,
        ending.color(),
        escape(&lease.work_id),
        escape(&lease.actor_id),
        ending.words(),
        span(until.saturating_sub(lease.issued_at)),
        lease.fencing_token,
    ));
    // As much of the name as fits inside, or none.
    let room = ((width - 10.0) / 7.0).max(0.0);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some two hundred letters at most"
    )]
    let room = room as usize;
    if height > 13.0 && room >= 7 {
        picture.line(format_args!(
            r##"<text x="{:.2}" y="{:.2}" font-size="11" fill="#ffffff" pointer-events="none">{}</text>"##,
            x + 5.0,
            y + height / 2.0 + 4.0,
            escape(&shortened(bar.label, room)),
        ));
    }
}

/// How a lease came to its end, if it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Released,
    Expired,
    Revoked,
    Held,
}

impl Ending {
    const ALL: [Self; 4] = [Self::Released, Self::Expired, Self::Revoked, Self::Held];

    fn of(lease: &Lease) -> Self {
        match lease.state {
            LeaseState::Released => Self::Released,
            LeaseState::Expired => Self::Expired,
            LeaseState::Revoked => Self::Revoked,
            _ => Self::Held,
        }
    }

    const fn color(self) -> &'static str {
        match self {
            Self::Released => "#3a9d6e",
            Self::Expired => "#e08a2e",
            Self::Revoked => "#c8413b",
            Self::Held => "#3d6fb6",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Held => "held",
        }
    }
}

/// When a lease ended, or would end.
fn ended_at(lease: &Lease) -> u64 {
    lease
        .terminated_at
        .unwrap_or(lease.expires_at)
        .max(lease.issued_at)
}

fn legend(picture: &mut Picture) {
    for (index, ending) in Ending::ALL.into_iter().enumerate() {
        let x = WIDTH - 372.0 + 92.0 * to_f64(index as u64);
        picture.line(format_args!(
            r##"<rect x="{x}" y="20" width="13" height="13" rx="2.5" fill="{}"/><text x="{}" y="31" fill="#1f2933">{}</text>"##,
            ending.color(),
            x + 19.0,
            ending.words(),
        ));
    }
}

fn axis(scale: &Scale, bottom: f64, picture: &mut Picture) {
    for (at, label) in scale.marks() {
        let x = scale.x(at);
        picture.line(format_args!(
            r##"<line x1="{x:.1}" x2="{x:.1}" y1="{}" y2="{bottom}" stroke="#1f2933" stroke-opacity="0.1"/><text x="{x:.1}" y="{}" text-anchor="middle" fill="#52606d" font-size="11">{label}</text>"##,
            TOP - 6.0,
            bottom + 18.0,
        ));
    }
    if let Some(x) = scale.now_x() {
        picture.line(format_args!(
            r##"<line x1="{x:.1}" x2="{x:.1}" y1="{}" y2="{bottom}" stroke="#c8413b" stroke-dasharray="3 3"/><text x="{x:.1}" y="{}" text-anchor="middle" fill="#c8413b" font-size="11">now</text>"##,
            TOP - 12.0,
            TOP - 16.0,
        ));
    }
}

fn counted(count: usize, noun: &str) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The start and the end of a name that is too long: what tells it from its like is often at its end.
fn shortened(name: &str, most: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= most {
        return name.to_owned();
    }
    let tail = most.saturating_sub(1) / 3;
    let head = most.saturating_sub(1) - tail;
    let (start, end) = (&letters[..head], &letters[letters.len() - tail..]);
    start.iter().chain(['…'].iter()).chain(end).collect()
}

fn escape(text: &str) -> String {
    // Control characters are not XML, whatever they are escaped as.
    let visible = |letter: char| if letter.is_control() { '\u{fffd}' } else { letter };
    let text: String = text.chars().map(visible).collect();
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a picture has some two thousand pixels"
)]
fn to_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_kind_are_escaped_and_shortened() {
        assert_eq!(escape("a<b>&\"c\"\u{1}"), "a&lt;b&gt;&amp;&quot;c&quot;\u{fffd}");
        assert_eq!(shortened("short", 5), "short");
        assert_eq!(shortened("a name that is too long", 10), "a name…ong");
        assert_eq!(shortened("ééééé", 3), "éé…");
        assert_eq!(shortened("long", 0), "…");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(counted(1, "lease"), "1 lease");
        assert_eq!(counted(1_234_567, "lease"), "1,234,567 leases");
    }
}
