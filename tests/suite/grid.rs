//! `imgduel grid`: who reads whose images.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;

use crate::ring;

/// The rows of the forms that are made, and the exit code.
fn grid(words: &[&str]) -> (Vec<Value>, Option<i32>) {
    let mut command = ring::imgduel();
    let output = command
        .arg("grid")
        .arg("--json")
        .args(words)
        .output()
        .unwrap();
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = rows.as_array().unwrap().iter();
    let made = rows.filter(|row| row["is_made"] == true).cloned();
    (made.collect(), output.status.code())
}

fn standings(rows: &[Value], reader: usize) -> Vec<&str> {
    let cells = rows.iter().map(|row| &row["cells"][reader]["standing"]);
    cells.map(|standing| standing.as_str().unwrap()).collect()
}

#[test]
fn the_model_reads_what_it_and_our_own_writers_made() {
    let (rows, code) = grid(&["--writer", "model,own", "--tool", "model"]);
    let writers = rows.iter().filter(|row| row["writer"] == "own").count();
    assert_eq!((code, writers), (Some(0), 7), "{rows:#?}");
    assert!(rows.len() >= 12, "{rows:#?}");
    let standings = standings(&rows, 0);
    assert!(
        standings
            .iter()
            .all(|standing| ["right", "not_asked"].contains(standing)),
        "{rows:#?}"
    );
    let not_made = rows
        .iter()
        .filter(|row| row["not_made"] != serde_json::json!([]));
    assert_eq!(not_made.count(), 0);
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_reader_that_lies_stands_wrong_and_one_that_dies_is_told() {
    let [liar, dead] = ["reads_wrongly", "dies_of_contents"]
        .map(|name| format!("qemu-img:{}", ring::stand_in(name).display()));
    let tools = format!("{liar},{dead},model");
    let (rows, code) = grid(&["--writer", "own", "--tool", &tools]);
    assert_eq!((code, rows.len()), (Some(1), 7), "{rows:#?}");
    assert_eq!(standings(&rows, 0), ["wrong"; 7]);
    assert_eq!(standings(&rows, 1), ["dies"; 7]);
    let right = standings(&rows, 2)
        .into_iter()
        .filter(|standing| *standing == "right");
    assert_eq!(right.count(), 5, "{rows:#?}");
    let said = rows[0]["cells"][0]["said"][1].as_str().unwrap();
    assert!(said.starts_with("byte at guest offset 0: 0xff"), "{said}");
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_vbox_img, missing_bximage),
    ignore = "qemu-img, vbox-img or bximage is not here (imgduel tools says what to install)"
)]
fn the_surprises_between_writers_and_readers_show() {
    let (rows, _) = grid(&[
        "--writer",
        "vbox-img,bximage",
        "--tool",
        "qemu-img,vbox-img,bximage",
    ]);
    let found = |writer: &str, format: &str, form: &str| {
        let mut of = rows.iter().filter(|row| {
            let is_by = row["writer"].as_str().unwrap().starts_with(writer);
            is_by && row["format"] == format && row["form"] == form
        });
        let row = of
            .next()
            .unwrap_or_else(|| panic!("{writer} {format} {form}"));
        let cells = row["cells"].as_array().unwrap().iter();
        cells
            .map(|cell| cell["standing"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let right = "right".to_owned();
    let expected = [
        (
            "vbox-img",
            "vmdk",
            "monolithicSparse",
            ["wrong", "right", "wrong"],
        ),
        ("vbox-img", "vdi", "dynamic", ["right", "right", "wrong"]),
        ("vbox-img", "vdi", "static", ["right", "right", "right"]),
        ("vbox-img", "vpc", "fixed", ["right", "right", "wrong"]),
        ("vbox-img", "parallels", "", ["right", "right", "not_asked"]),
        ("bximage", "vhdx", "dynamic", ["right", "refuses", "right"]),
        (
            "bximage",
            "vmdk",
            "monolithicSparse",
            ["right", "right", "right"],
        ),
    ];
    for (writer, format, form, standings) in expected {
        assert_eq!(
            found(writer, format, form),
            standings,
            "{writer} {format} {form}"
        );
    }
    assert_eq!(found("bximage", "vpc", "dynamic")[0], right);
}
