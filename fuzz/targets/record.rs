//! Record files: `--resume`, `merge`, `shrink`, and all that is written of a record.

#![no_main]

use std::path::Path;

use imgduel::report::digest::Digest;
use imgduel::report::findings::Findings;
use imgduel::report::junit::JunitFile;
use imgduel::report::{github, html, terminal};
use imgduel::run::record::{Record, Summary};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let lines = data.split(|byte| *byte == b'\n');
    let records = lines.filter_map(|line| serde_json::from_slice::<Record>(line).ok());
    let records: Vec<Record> = records.collect();
    if records.is_empty() {
        return;
    }
    let mut summary = Summary::new(None, None, records.len() as u64);
    let (mut digest, mut findings) = (Digest::default(), Findings::default());
    let mut junit =
        JunitFile::begin(Vec::new(), Path::new("junit.xml"), true).expect("memory takes all");
    for record in &records {
        summary.add(record);
        digest.add(record);
        findings.add(record);
        let _ = junit.append(record);
        let _ = (
            record.symptoms(true),
            record.duration(),
            terminal::line(record),
        );
        let _ = terminal::evidence_block(record);
        serde_json::to_string(record).expect("a record can be written");
    }
    summary.finish(Default::default(), Default::default());
    assert!(findings.in_order().len() <= records.len());
    for (group, found) in &digest.groups {
        let _ = github::issue_body(group, found, None);
    }
    let _ = (
        terminal::summary(&summary),
        html::page(&summary, &digest).into_string(),
    );
    let _ = (
        github::annotations(&summary, &digest),
        github::job_summary(&summary, &digest),
    );
});
