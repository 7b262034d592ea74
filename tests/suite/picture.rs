//! Checks that the diagram of the rooms, `docs/architecture.svg`, is up to date. It is generated from `src/lib.rs` and the imports of each room.
//!
//! `docs/architecture.sh` regenerates it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::ring;

/// `docs/architecture.sh` sets this variable.
const WRITE: &str = "IMGDUEL_WRITE_PICTURE";

const BOX_WIDTH: usize = 590;
const BOX_HEIGHT: usize = 40;
const ROW_HEIGHT: usize = 62;
const MARGIN: usize = 16;
const ARCS_WIDTH: usize = 70;

/// A room: its name, its description, and the indices of the rooms that it uses.
struct Room {
    name: String,
    about: String,
    uses: BTreeSet<usize>,
}

fn rooms() -> Vec<Room> {
    let source = ring::package().join("src");
    let library = fs::read_to_string(source.join("lib.rs")).unwrap();
    let mut rooms: Vec<Room> = Vec::new();
    let mut about = Vec::new();
    for line in library.lines() {
        let name = line
            .strip_prefix("pub mod ")
            .and_then(|rest| rest.strip_suffix(';'));
        match (line.strip_prefix("/// "), name) {
            (Some(words), _) => about.push(words.to_owned()),
            (None, Some(name)) => rooms.push(Room {
                name: name.to_owned(),
                about: std::mem::take(&mut about).join(" "),
                uses: BTreeSet::new(),
            }),
            // An attribute stands between a description and its module.
            (None, None) if line.starts_with("#[") => {}
            (None, None) => about.clear(),
        }
    }
    let names: Vec<String> = rooms.iter().map(|room| room.name.clone()).collect();
    for (place, room) in rooms.iter_mut().enumerate() {
        let mut code = fs::read_to_string(source.join(format!("{}.rs", room.name))).unwrap();
        add_code(&source.join(&room.name), &mut code);
        let named = code.split("crate::").skip(1);
        let used = named.filter_map(|rest| {
            let end = rest.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_');
            names
                .iter()
                .position(|name| *name == rest[..end.unwrap_or(rest.len())])
        });
        room.uses = used.filter(|used| *used != place).collect();
    }
    rooms
}

/// Appends the code of a directory, without comments.
fn add_code(directory: &Path, code: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_code(&path, code);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let lines = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            lines.for_each(|line| {
                code.push_str(line);
                code.push('\n');
            });
        }
    }
}

/// Returns the transitive reduction of the dependencies.
fn arrows(rooms: &[Room]) -> Vec<(usize, usize)> {
    let reaches = |from: usize, to: usize| {
        let mut open = vec![from];
        let mut seen = BTreeSet::new();
        while let Some(place) = open.pop() {
            if place == to {
                return true;
            }
            open.extend(rooms[place].uses.iter().filter(|used| seen.insert(**used)));
        }
        false
    };
    let mut arrows = Vec::new();
    for (from, room) in rooms.iter().enumerate() {
        for to in &room.uses {
            let others = room.uses.iter().filter(|other| *other != to);
            if !others.into_iter().any(|other| reaches(*other, *to)) {
                arrows.push((from, *to));
            }
        }
    }
    arrows
}

/// Draws the rooms below each other, with straight arrows between neighbours and arcs on the right for the others.
fn picture(rooms: &[Room]) -> String {
    let (width, height) = (
        2 * MARGIN + BOX_WIDTH + ARCS_WIDTH,
        2 * MARGIN + rooms.len() * ROW_HEIGHT - (ROW_HEIGHT - BOX_HEIGHT),
    );
    let top = |place: usize| MARGIN + place * ROW_HEIGHT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#56606b\"/></marker></defs>\n"
    );
    for (from, to) in arrows(rooms) {
        let path = if from - to == 1 {
            let middle = MARGIN + BOX_WIDTH / 2;
            format!("M{middle} {}V{}", top(from), top(to) + BOX_HEIGHT)
        } else {
            let right = MARGIN + BOX_WIDTH;
            let reach =
                right + ARCS_WIDTH * (from - to + 1) / (rooms.len() / 2 + 2).max(from - to + 1);
            let (start, end) = (top(from) + BOX_HEIGHT / 3, top(to) + BOX_HEIGHT * 2 / 3);
            format!("M{right} {start}C{reach} {start} {reach} {end} {right} {end}")
        };
        let _ = writeln!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"#56606b\" marker-end=\"url(#head)\"/>"
        );
    }
    for (place, room) in rooms.iter().enumerate() {
        let (y, words) = (top(place), room.about.trim_end_matches('.'));
        let words = words.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(
            svg,
            "<rect x=\"{MARGIN}\" y=\"{y}\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"5\" fill=\"#eef3f8\" stroke=\"#56606b\"/>\n\
             <text x=\"{}\" y=\"{}\" fill=\"#1b2530\"><tspan font-weight=\"bold\">{}</tspan><tspan dx=\"10\">{words}</tspan></text>",
            MARGIN + 12,
            y + BOX_HEIGHT / 2 + 5,
            room.name
        );
    }
    svg.push_str("</svg>\n");
    svg
}

#[test]
fn the_picture_of_the_rooms_is_up_to_date() {
    let path = ring::package().join("docs/architecture.svg");
    let now = picture(&rooms());
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, &now).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap();
    assert!(
        there == now,
        "docs/architecture.svg is out of date: run docs/architecture.sh"
    );
}

#[test]
fn transitive_dependencies_are_omitted() {
    let room = |name: &str, uses: &[usize]| Room {
        name: name.to_owned(),
        about: String::new(),
        uses: uses.iter().copied().collect(),
    };
    let rooms = [
        room("a", &[]),
        room("b", &[0]),
        room("c", &[0, 1]),
        room("d", &[0]),
    ];
    assert_eq!(arrows(&rooms), [(1, 0), (2, 1), (3, 0)]);
}
