//! The files of the Python harness's `--log-dir`, for scripts that read them.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::json;

use crate::base::error::{Error, Result};
use crate::run::record::Record;

/// The record file of a log directory.
pub fn records_path(directory: &Path, seed: u64) -> PathBuf {
    directory.join(format!("records-{seed}.jsonl"))
}

/// The summary of a log directory.
pub fn summary_path(directory: &Path, seed: u64) -> PathBuf {
    directory.join(format!("summary-{seed}.json"))
}

/// Writes the report of one divergence: the keys of the Python harness, and the whole record.
pub fn write_divergence(directory: &Path, record: &Record) -> Result<()> {
    let name = match (record.seed, record.iteration) {
        (Some(seed), Some(iteration)) => format!("divergence-{seed}-{iteration:06}.json"),
        _ => format!("divergence-{}.json", record.id),
    };
    let path = directory.join(name);
    let Some(case) = &record.case else {
        return Ok(());
    };
    let image = &case.image;
    let mut attributes = json!({
        "format": image.format,
        "virtual_size": image.virtual_size,
        "pattern": image.pattern,
        "operations": case.ops.iter().map(crate::operation::Operation::name).collect::<Vec<_>>(),
        "iter_seed": case.iter_seed,
    });
    if let Some(cluster_size) = image.cluster_size {
        attributes["cluster_size"] = json!(cluster_size);
    }
    let report = json!({
        "seed": record.seed,
        "iteration": record.iteration,
        "attributes": attributes,
        "divergence": {
            "type": record.kind,
            "operation": record.operation,
            "operation_in_chain": record.operation_index,
            "iteration": record.iteration,
            "reason": record.reason,
        },
        "timestamp": Timestamp::now().to_string(),
        "record": record,
    });
    let text =
        serde_json::to_vec_pretty(&report).map_err(|error| Error::system(error.to_string()))?;
    std::fs::write(&path, text).map_err(|error| Error::io("write the divergence to", &path, &error))
}
