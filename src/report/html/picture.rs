//! The picture of an image: what the recipe wrote, and below it one strip for each map, over the guest address space.
//!
//! Strips are drawn to scale in a box that is stretched to the page; a range that would be too narrow to see is widened.

use maud::{Markup, html};

use crate::run::evidence::{Picture, Strip};

/// The width of a strip in its own units.
pub(super) const WIDTH: f64 = 1000.0;

/// A range is drawn at least this wide.
const NARROWEST: f64 = 2.0;

/// How many ranges are listed in figures.
const LISTED_MAX: usize = 100;

/// A row of ranges and their appearance.
struct Row<'picture> {
    label: String,
    class: &'static str,
    ranges: Vec<(u64, u64, &'static str)>,
    remark: Option<&'picture str>,
}

pub(super) fn picture(picture: &Picture) -> Markup {
    let plain = |ranges: &[(u64, u64)], class: &'static str| {
        let ranges = ranges.iter();
        ranges
            .map(|(start, length)| (*start, *length, class))
            .collect()
    };
    let mut rows = vec![Row {
        label: "written by the recipe".to_owned(),
        class: "written-row",
        ranges: plain(&picture.written, "written"),
        remark: None,
    }];
    rows.extend(picture.strips.iter().map(strip_row));
    rows.push(Row {
        label: "where the contents differ".to_owned(),
        class: "contents-row",
        ranges: plain(&picture.contents, "contents"),
        remark: None,
    });
    rows.push(Row {
        label: "where the maps differ".to_owned(),
        class: "differing-row",
        ranges: plain(&picture.differing, "differing"),
        remark: None,
    });
    html! {
        figure.picture {
            figcaption {
                h4 { "The image" }
                code { (picture.file) } ": " (size(picture.guest_bytes)) " of guest address space. "
                span.entry { span.key.data {} " data" } " "
                span.entry { span.key.hole {} " reads as zeros" } " "
                span.entry { span.key.written {} " written" } " "
                span.entry { span.key.differing {} " outlined: the contents differ" }
            }
            @for row in &rows {
                div.strip class=(row.class) {
                    span.label { (row.label) }
                    (drawn(picture, row))
                    @if let Some(remark) = row.remark { span.remark { (remark) } }
                }
            }
            div.scale aria-hidden="true" { span { "0" } span { (size(picture.guest_bytes / 2)) } span { (size(picture.guest_bytes)) } }
            (figures(picture))
        }
    }
}

fn strip_row(strip: &Strip) -> Row<'_> {
    let extents = strip.extents.iter();
    let ranges = extents.map(|extent| {
        let class = if extent.data { "data" } else { "hole" };
        (extent.start, extent.length, class)
    });
    // Data last: a widened range must not lie under the hole behind it.
    let (holes, data): (Vec<_>, Vec<_>) = ranges.partition(|(.., class)| *class == "hole");
    Row {
        label: format!(
            "{}'s image, mapped by the {}",
            strip.side.name(),
            strip.by.name()
        ),
        class: "map-row",
        ranges: holes.into_iter().chain(data).collect(),
        remark: strip.remark.as_deref(),
    }
}

fn drawn(picture: &Picture, row: &Row<'_>) -> Markup {
    let described = format!("{}: {} ranges", row.label, row.ranges.len());
    // Contents that differ are shown over every map.
    let over: &[(u64, u64)] = if row.class == "map-row" {
        &picture.contents
    } else {
        &[]
    };
    html! {
        svg viewBox=(format!("0 0 {WIDTH} 20")) preserveAspectRatio="none" role="img" aria-label=(described) {
            @for (start, length, class) in &row.ranges {
                (range(picture.guest_bytes, *start, *length, class))
            }
            @for (start, length) in over {
                (range(picture.guest_bytes, *start, *length, "over"))
            }
        }
    }
}

/// A range of a guest's address space of `guest_bytes`, in a strip of [`WIDTH`].
pub(super) fn range(guest_bytes: u64, start: u64, length: u64, class: &str) -> Markup {
    let (top, height) = (0.0, 20.0);
    let scale = WIDTH / guest_bytes.max(1) as f64;
    let width = (length as f64 * scale).max(NARROWEST);
    let left = (start as f64 * scale).min(WIDTH - width).max(0.0);
    html! {
        rect class=(class) x=(format!("{left:.2}")) y=(top) width=(format!("{width:.2}")) height=(height)
            data-start=(start) data-length=(length) {
            title { (class) ": " (length) " bytes from " (start) }
        }
    }
}

/// Returns the same as numbers.
fn figures(picture: &Picture) -> Markup {
    let listed = |ranges: &[(u64, u64)]| {
        let shown = ranges.iter().take(LISTED_MAX);
        let mut texts: Vec<String> = shown
            .map(|(start, length)| format!("{start}+{length}"))
            .collect();
        if ranges.len() > LISTED_MAX {
            texts.push(format!("and {} more", ranges.len() - LISTED_MAX));
        }
        texts.join(", ")
    };
    html! {
        details.line {
            summary { "In figures: offset+length in bytes" }
            dl {
                dt { "written" } dd { (listed(&picture.written)) }
                @for strip in &picture.strips {
                    dt { (strip.side.name()) "'s image, data as mapped by the " (strip.by.name()) }
                    dd { (listed(&data(strip))) }
                }
                dt { "contents differ" } dd { (listed(&picture.contents)) }
                dt { "maps differ" } dd { (listed(&picture.differing)) }
            }
        }
    }
}

fn data(strip: &Strip) -> Vec<(u64, u64)> {
    let extents = strip.extents.iter().filter(|extent| extent.data);
    extents
        .map(|extent| (extent.start, extent.length))
        .collect()
}

/// Returns a size in a readable unit.
pub(super) fn size(bytes: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) if bytes.is_multiple_of(unit) => format!("{} {name}", bytes / unit),
        Some((name, unit)) => format!("{:.2} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::observations::Side;
    use serde_json::json;

    fn example() -> Picture {
        let map = json!([{"start": 0, "length": 500, "data": true}, {"start": 500, "length": 500, "data": false}]);
        let strip = |side| Strip::of_json(side, Side::Reference, &map);
        Picture {
            file: "0-convert.qcow2".to_owned(),
            guest_bytes: 1000,
            written: vec![(0, 250)],
            strips: vec![strip(Side::Candidate), strip(Side::Reference)],
            differing: vec![(999, 1)],
            contents: vec![(100, 50)],
        }
    }

    #[test]
    fn ranges_are_drawn_to_scale_and_never_too_narrow_to_see() {
        let page = picture(&example()).into_string();
        assert!(
            page.contains(r#"<rect class="written" x="0.00" y="0" width="250.00""#),
            "{page}"
        );
        assert!(
            page.contains(r#"<rect class="hole" x="500.00" y="0" width="500.00""#),
            "{page}"
        );
        assert!(
            page.contains(r#"<rect class="differing" x="998.00" y="0" width="2.00""#),
            "{page}"
        );
    }

    #[test]
    fn sizes_read_as_people_say_them() {
        assert_eq!(
            [size(512), size(4096), size(1536 << 10)],
            ["512 B", "4 KiB", "1.50 MiB"]
        );
    }
}
