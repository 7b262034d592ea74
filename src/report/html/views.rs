//! The page of `imgduel inspect`: what the tools say of images from outside, and a picture of where they differ.
//!
//! A pure function of what was seen. It has the style of the page of a campaign.

use std::path::Path;

use maud::{DOCTYPE, Markup, html};

use super::picture::{WIDTH, range, size};
use crate::base::error::{Error, Result};
use crate::base::prose::printable;
use crate::disk_format::description::Description;
use crate::report::terminal::views as words;
use crate::run::outside_image::OutsideImage;
use crate::run::views::{Mapping, Outcome, View};

/// The most ranges of a strip that are drawn: nearer ones are drawn as one.
const DRAWN_MAX: u64 = 2000;

/// An image with what was seen of it.
pub struct Looked<'image> {
    /// The image.
    pub image: &'image OutsideImage,
    /// What our own parsers say of the file.
    pub description: Description,
    /// What the tools say.
    pub views: Vec<View>,
}

/// Writes the page.
pub fn write(path: &Path, looked: &[Looked<'_>]) -> Result<()> {
    let page = page(looked).into_string();
    std::fs::write(path, &*printable(&page))
        .map_err(|error| Error::io("write the page to", path, &error))
}

fn page(looked: &[Looked<'_>]) -> Markup {
    let title = format!("imgduel: {} images", looked.len());
    html! {
        (DOCTYPE)
        html lang="en" {
            (super::head(&title))
            body {
                header { h1 { "imgduel" } p.tools { (title) } }
                main { @for one in looked { (section(one)) } }
            }
        }
    }
}

fn section(looked: &Looked<'_>) -> Markup {
    let Looked {
        image,
        description,
        views,
    } = looked;
    let asked = views
        .iter()
        .filter(|view| !matches!(view.outcome, Outcome::Skipped(_)));
    html! {
        section {
            h2 { (image.shown.display()) " " small { (image.file.format) } }
            p { (words::summary(views)) "." }
            @for left in &image.left { p.inconclusive { "left out: " (left) } }
            p { (words::facts(description)) }
            @for unusual in &description.unusual {
                p { b { "unusual: " } (unusual.what) " " small { "(" (unusual.section) ")" } }
            }
            (picture(views))
            div.scroll tabindex="0" role="group" aria-label="What each tool says" {
                table {
                    thead { tr { th scope="col" { "tool" } th scope="col" { "says" } th.number scope="col" { "CPU ms" } } }
                    tbody {
                        @for view in asked {
                            tr { th scope="row" { (view.tool) } td { (words::said(view)) } td.number { (view.cpu_ms) } }
                        }
                    }
                }
            }
        }
    }
}

/// A strip for each tool that reads the image, with its data and where they differ from what most see, and one for each map.
fn picture(views: &[View]) -> Markup {
    let guest_bytes = views
        .iter()
        .filter_map(View::seen)
        .map(|seen| seen.size)
        .max();
    let Some(guest_bytes) = guest_bytes.filter(|bytes| *bytes > 0) else {
        return html! {};
    };
    let strips = html! {
        @for view in views {
            @if let Some(seen) = view.seen() {
                (strip(&format!("{} reads", view.tool), guest_bytes, &seen.contents().non_zero_ranges(), &seen.ranges))
            }
            @if let Some(Mapping::Data(data)) = &view.map {
                (strip(&format!("{} maps", view.tool), guest_bytes, data, &[]))
            }
        }
    };
    figure(guest_bytes, "not what most see", &strips)
}

/// A picture of strips of the guest address space, with what the outlined blocks are.
pub(super) fn figure(guest_bytes: u64, outlined: &str, strips: &Markup) -> Markup {
    html! {
        figure.picture {
            figcaption {
                (size(guest_bytes)) " of guest address space. "
                span.entry { span.key.data {} " blocks with data" } " "
                span.entry { span.key.differing {} " outlined: " (outlined) }
            }
            (strips)
            div.scale aria-hidden="true" { span { "0" } span { (size(guest_bytes / 2)) } span { (size(guest_bytes)) } }
        }
    }
}

pub(super) fn strip(
    label: &str,
    guest_bytes: u64,
    data: &[(u64, u64)],
    differing: &[(u64, u64)],
) -> Markup {
    let described = format!("{label}: {} ranges", data.len());
    html! {
        div.strip.map-row {
            span.label { (label) }
            svg viewBox=(format!("0 0 {WIDTH} 20")) preserveAspectRatio="none" role="img" aria-label=(described) {
                @for (start, length) in drawn(data, guest_bytes) { (range(guest_bytes, start, length, "data")) }
                @for (start, length) in drawn(differing, guest_bytes) { (range(guest_bytes, start, length, "over")) }
            }
        }
    }
}

/// Joins ranges that are too near to each other to be seen apart.
fn drawn(ranges: &[(u64, u64)], guest_bytes: u64) -> Vec<(u64, u64)> {
    let near = guest_bytes / DRAWN_MAX;
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (start, length) in ranges.iter().copied() {
        match joined.last_mut() {
            Some((first, before)) if start <= *first + *before + near => {
                *before = (start + length - *first).max(*before);
            }
            _ => joined.push((start, length)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    #[test]
    fn ranges_that_cannot_be_seen_apart_are_drawn_as_one() {
        let ranges = [(0, 10), (11, 10), (500_000, 5)];
        assert_eq!(super::drawn(&ranges, 1_000_000), [(0, 21), (500_000, 5)]);
    }
}
