//! The outcomes of a session in the words of the protocol: a list in the JSON, and the bytes that were read in the raw file, one read behind the other.
//!
//! Adapters answer so; within imgduel, a worker sends the outcomes themselves.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::image::content::open_regular;
use crate::tool::library::Outcome;
use crate::tool::request::{BUFFER_BYTES_MAX, SessionOutcome};

/// One outcome.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    /// `"done"`.
    Done,
    /// `{"read": 512}`: this number of bytes follows in the raw file.
    Read(u64),
    /// `{"refused": "why"}`.
    Refused(String),
}

/// Returns the list, and the bytes of the raw file.
pub(in super::super) fn told(outcomes: Vec<Outcome>) -> (Value, Vec<u8>) {
    let mut raw = Vec::new();
    let list = outcomes.into_iter().map(|outcome| match outcome {
        Outcome::Done => Told::Done,
        Outcome::Refused(why) => Told::Refused(why),
        Outcome::Read(bytes) => {
            raw.extend_from_slice(&bytes);
            Told::Read(bytes.len() as u64)
        }
    });
    let list: Vec<Value> = list
        .map(|told| serde_json::to_value(told).unwrap_or_default())
        .collect();
    (list.into(), raw)
}

/// Parses the list, and reads the raw file if there is one. Fails if they are not those of a session.
pub(super) fn read(list: &Value, raw: Option<&Path>) -> Result<Vec<SessionOutcome>, String> {
    let list: Vec<Told> =
        serde_json::from_value(list.clone()).map_err(|error| error.to_string())?;
    let mut raw = match raw {
        Some(path) => Some(open_regular(path).map_err(|error| error.to_string())?),
        None => None,
    };
    let outcomes = list.into_iter().map(|told| {
        Ok(match told {
            Told::Done => SessionOutcome::Done,
            Told::Refused(why) => SessionOutcome::Refused(why),
            Told::Read(length) => {
                let bytes = next(raw.as_mut(), length)?;
                Outcome::Read(bytes).into()
            }
        })
    });
    outcomes.collect()
}

fn next(raw: Option<&mut File>, length: u64) -> Result<Vec<u8>, String> {
    if length > BUFFER_BYTES_MAX {
        return Err(format!("{length} bytes are more than anybody asked for"));
    }
    let mut bytes = vec![0; length as usize];
    match raw {
        Some(file) => file
            .read_exact(&mut bytes)
            .map_err(|error| error.to_string())?,
        None if length == 0 => {}
        None => return Err("there is no raw file with what was read".to_owned()),
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_come_back_as_they_were_told() {
        let outcomes = vec![
            Outcome::Done,
            Outcome::Read(vec![1; 5000]),
            Outcome::Refused("no".to_owned()),
            Outcome::Read(Vec::new()),
            Outcome::Read(vec![2]),
        ];
        let (list, raw) = told(outcomes.clone());
        assert_eq!(
            list.to_string(),
            r#"["done",{"read":5000},{"refused":"no"},{"read":0},{"read":1}]"#
        );
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("raw");
        std::fs::write(&path, &raw).unwrap();
        let expected: Vec<SessionOutcome> =
            outcomes.into_iter().map(SessionOutcome::from).collect();
        assert_eq!(read(&list, Some(&path)), Ok(expected));
        std::fs::write(&path, &raw[1..]).unwrap();
        assert!(read(&list, Some(&path)).is_err(), "a byte is missing");
    }
}
