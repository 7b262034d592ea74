//! The JSON form of a run's sample: a list of (length, byte) pairs, such as `[[4096, 17]]` for 4096 times the byte 17.
//!
//! Serde uses it for [`Contents`](super::Contents), which adapters send and the cache stores. Recipes repeat a byte, so most samples are one
//! pair.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::BLOCK_BYTES;

pub(super) fn serialize<S: Serializer>(
    sample: &Option<Vec<u8>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let stretches = sample.as_ref().map(|bytes| {
        let stretches = bytes.chunk_by(|one, next| one == next);
        let stretches = stretches.map(|stretch| (stretch.len(), stretch[0]));
        stretches.collect::<Vec<(usize, u8)>>()
    });
    stretches.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<u8>>, D::Error> {
    let stretches = Option::<Vec<(usize, u8)>>::deserialize(deserializer)?;
    let Some(stretches) = stretches else {
        return Ok(None);
    };
    let mut bytes = Vec::with_capacity(BLOCK_BYTES as usize);
    for (length, byte) in stretches {
        let end = bytes.len().saturating_add(length);
        if end > BLOCK_BYTES as usize {
            return Err(D::Error::custom("a sample is longer than a block"));
        }
        bytes.resize(end, byte);
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::super::{Contents, ContentsBuilder};

    #[test]
    fn contents_survive_a_round_trip_through_json() {
        let mut builder = ContentsBuilder::new(20_000);
        builder.add(0, &[[17; 4096], [18; 4096]].concat());
        let mixed: Vec<u8> = (0..5000_u32).map(|index| (index / 3) as u8).collect();
        builder.add(12_288, &mixed);
        let contents = builder.finish();
        let text = serde_json::to_string(&contents).unwrap();
        assert!(text.contains("[[4096,17]]"), "{text}");
        let back: Contents = serde_json::from_str(&text).unwrap();
        assert_eq!(back, contents);
        assert_eq!(back.writes(), contents.writes());
    }

    #[test]
    fn a_sample_that_is_longer_than_a_block_is_refused() {
        let text = r#"{"size":4096,"runs":[{"first":0,"count":1,"fingerprint":[1,2],"sample":[[4096,1],[9000000000000000000,1]]}]}"#;
        let refused = serde_json::from_str::<Contents>(text).unwrap_err();
        assert!(refused.to_string().contains("longer than a block"));
    }
}
