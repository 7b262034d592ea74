//! For `#[serde(with)]`: options as a JSON object with values of the matching JSON types, such as `{"cluster_size": 4096, "extended_l2": true}`.
//!
//! Sizes are in bytes. The protocol of adapters uses this form; cases store a list of `NAME=VALUE`.

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserializer, Serializer};
use serde_json::Value;

use super::{CreateOption, CreateOptions};

/// Serializes the options as an object.
pub fn serialize<S: Serializer>(options: &CreateOptions, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(options.iter().map(|option| (option.name(), option.json())))
}

/// Deserializes the options from an object.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CreateOptions, D::Error> {
    deserializer.deserialize_map(Object)
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = CreateOptions;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of create options")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<CreateOptions, M::Error> {
        let mut texts = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            let value = match value {
                Value::Bool(true) => "on".to_owned(),
                Value::Bool(false) => "off".to_owned(),
                Value::String(text) => text,
                other => other.to_string(),
            };
            texts.push(format!("{name}={value}"));
        }
        CreateOptions::parse(&texts).map_err(M::Error::custom)
    }
}

impl CreateOption {
    /// The option's value in JSON.
    fn json(&self) -> Value {
        match self {
            Self::ClusterSize(number)
            | Self::RefcountBits(number)
            | Self::EncryptIterTime(number) => (*number).into(),
            Self::BlockSize(size) | Self::LogSize(size) => size.bytes().into(),
            other => match other.switched() {
                Some(is_on) => is_on.into(),
                None => other.value().into(),
            },
        }
    }
}
