//! The HTML report in a real browser: it fits a phone, follows the light or dark theme, can be operated by keyboard, and its diagrams match
//! the records.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use imgduel::report::digest::Digest;
use imgduel::report::html;
use imgduel::run::record::{Record, Summary};
use serde_json::Value;

use crate::ring;

/// A page that embeds the report and inspects it from outside, because the report's own content security policy forbids scripts. The
/// element `result` holds the outcome as JSON.
const OBSERVER: &str = r#"<!DOCTYPE html><meta charset="utf-8"><iframe id="page" style="border:0;width:WIDTHpx;height:900px" srcdoc="PAGE"></iframe>
<script type="application/json" id="result"></script><script>
const frame = document.getElementById("page");
frame.onload = () => {
  const page = frame.contentDocument, all = selector => [...page.querySelectorAll(selector)];
  all("details").forEach(details => details.open = true);
  const style = element => frame.contentWindow.getComputedStyle(element);
  const focusable = all("summary, a, pre, .scroll");
  const rectangles = finding => [...finding.querySelectorAll("rect[data-start]")].map(rectangle => {
    const box = rectangle.getBoundingClientRect(), strip = rectangle.ownerSVGElement.getBoundingClientRect();
    return {class: rectangle.getAttribute("class"), start: +rectangle.dataset.start, length: +rectangle.dataset.length,
      left: (box.left - strip.left) / strip.width, right: (box.right - strip.left) / strip.width, width: box.width, fill: style(rectangle).fill};
  });
  document.getElementById("result").textContent = JSON.stringify({
    counts: all(".verdicts li").map(item => +item.dataset.count),
    overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    paper: style(page.body).backgroundColor, ink: style(page.body).color,
    focusable: focusable.length,
    focused: focusable.filter(element => { element.focus(); return page.activeElement === element; }).length,
    findings: all(".finding").map(finding => ({reproduce: finding.querySelector(".again").textContent, rectangles: rectangles(finding)})),
    marks: all("mark").length,
    scripts: page.scripts.length,
  });
};
</script>"#;

/// Returns records of three kinds of divergences and of one timeout of the reference.
fn records(workdir: &Path) -> Vec<Record> {
    let limit = std::time::Duration::from_secs(30);
    let tries = [
        ("flips_a_byte", "convert", "qemu-img", limit),
        ("wrong_virtual_size", "info", "qemu-img", limit),
        ("resize_loses_data", "resize", "qemu-img", limit),
        (
            "flips_a_byte",
            "info",
            "qemu-img:tests/stand_ins/hangs",
            limit / 100,
        ),
    ];
    let tried = tries.iter().map(|(lie, operation, reference, limit)| {
        let candidate = format!("qemu-img:{}", ring::stand_in(lie).display());
        let session = ring::session(&candidate, reference, *limit, workdir);
        let cases = ring::cases("ops7", 7, &[operation]);
        ring::first_that_differs(&session, cases, 300).unwrap()
    });
    let mut records: Vec<Record> = tried.collect();
    for (place, record) in records.iter_mut().enumerate() {
        // The observer identifies the findings on the page by this line.
        record.reproduce = place.to_string();
    }
    records
}

/// Opens the page in a browser and returns what the observer measured.
fn seen(page: &str, width: u32, more: &[&str], workdir: &Path) -> Value {
    let quoted = page.replace('&', "&amp;").replace('"', "&quot;");
    let observer = OBSERVER
        .replace("WIDTH", &width.to_string())
        .replace("PAGE", &quoted);
    let file = workdir.join("observer.html");
    std::fs::write(&file, observer).unwrap();
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--virtual-time-budget=5000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(more)
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    let document = String::from_utf8_lossy(&output.stdout).into_owned();
    let result = document
        .split("id=\"result\">")
        .nth(1)
        .and_then(|rest| rest.split("</script>").next());
    serde_json::from_str(result.unwrap_or_default())
        .unwrap_or_else(|_| panic!("nothing seen: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
#[cfg_attr(
    missing_chromium,
    ignore = "chromium is not here (on Debian: apt-get install chromium)"
)]
fn the_page_is_right_and_readable_in_a_real_browser() {
    let workdir = tempfile::tempdir().unwrap();
    let records = records(workdir.path());
    let mut summary = Summary::new(None, None, records.len() as u64);
    let mut digest = Digest::default();
    for record in &records {
        summary.add(record);
        digest.add(record);
    }
    let page = html::page(&summary, &digest).into_string();

    let light = seen(&page, 1100, &[], workdir.path());
    assert_eq!(light["counts"], serde_json::json!([0, 3, 0, 0, 0, 1, 0]));
    assert_eq!(light["scripts"], 0);
    assert_eq!(
        light["focusable"], light["focused"],
        "all can be reached by keyboard"
    );
    assert!(light["focusable"].as_u64().unwrap() > 20 && light["marks"].as_u64().unwrap() > 3);
    let findings = light["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 3);
    for finding in findings {
        let place: usize = finding["reproduce"].as_str().unwrap().parse().unwrap();
        pictures_agree(finding["rectangles"].as_array().unwrap(), &records[place]);
    }

    let dark = ["--blink-settings=preferredColorScheme=0"];
    let phone = seen(&page, 360, &dark, workdir.path());
    for (name, seen) in [("desk", &light), ("phone", &phone)] {
        assert_eq!(
            seen["overflow"], 0,
            "{name}: something is wider than the page"
        );
    }
    assert_ne!(light["paper"], phone["paper"]);
    assert_ne!(light["ink"], phone["ink"]);
}

/// Asserts that exactly the ranges of the record are drawn, each at the right place.
fn pictures_agree(rectangles: &[Value], record: &Record) {
    let picture = record.evidence.as_ref().unwrap().picture.as_ref().unwrap();
    let strips = picture.strips.iter();
    let mut expected: Vec<(&str, u64, u64)> = strips
        .flat_map(|strip| &strip.extents)
        .map(|extent| {
            let class = if extent.data { "data" } else { "hole" };
            (class, extent.start, extent.length)
        })
        .collect();
    let ranges = |class, ranges: &[(u64, u64)]| -> Vec<(&'static str, u64, u64)> {
        ranges
            .iter()
            .map(|(start, length)| (class, *start, *length))
            .collect()
    };
    expected.extend(ranges("written", &picture.written));
    expected.extend(ranges("differing", &picture.differing));
    expected.extend(ranges("contents", &picture.contents));
    for _ in &picture.strips {
        expected.extend(ranges("over", &picture.contents));
    }
    let mut drawn: Vec<(&str, u64, u64)> = rectangles
        .iter()
        .map(|rectangle| {
            let number = |name: &str| rectangle[name].as_u64().unwrap();
            (
                rectangle["class"].as_str().unwrap(),
                number("start"),
                number("length"),
            )
        })
        .collect();
    expected.sort_unstable();
    drawn.sort_unstable();
    assert_eq!(drawn, expected, "{}", record.id);
    for rectangle in rectangles {
        let number = |name: &str| rectangle[name].as_f64().unwrap();
        let share = number("start") / picture.guest_bytes as f64;
        assert!(
            (number("left") - share).abs() < 0.02,
            "{rectangle} is not at {share}"
        );
        assert!(number("width") > 0.5, "{rectangle} cannot be seen");
    }
}
