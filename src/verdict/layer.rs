//! In which layer of an image a divergence lies.
//!
//! The order is that of causes: what differs in one layer mostly differs in the later ones as well, so the first one is told.
//! Found from the kind alone.

use serde::{Deserialize, Serialize};

/// A layer, in the order in which they are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// How the tool came out: done, refused, dead, out of time.
    Exit,
    /// What a guest sees.
    Contents,
    /// Size and format facts.
    Facts,
    /// What is allocated.
    Allocation,
    /// Reference counts and tables: what a check finds.
    Metadata,
    /// What is left on the host: an input that was written to.
    Host,
    /// What one tool sees in the other's image.
    CrossReading,
    /// What the tool says in words or figures of its own.
    Saying,
}

/// Words in a kind's name and the layer they mean; the first that occurs counts.
const WORDS: [(&str, Layer); 21] = [
    ("exit", Layer::Exit),
    ("crash", Layer::Exit),
    ("timeout", Layer::Exit),
    ("limit", Layer::Exit),
    ("refusal", Layer::Exit),
    ("failed", Layer::Exit),
    ("input_changed", Layer::Host),
    ("reading", Layer::CrossReading),
    ("readback", Layer::CrossReading),
    ("content", Layer::Contents),
    ("recipe", Layer::Contents),
    ("write", Layer::Contents),
    ("check", Layer::Metadata),
    ("repair", Layer::Metadata),
    ("map", Layer::Allocation),
    ("bitmap", Layer::Facts),
    ("info", Layer::Facts),
    ("create", Layer::Facts),
    ("metadata", Layer::Metadata),
    ("host_divergence", Layer::Host),
    ("witness", Layer::CrossReading),
];

impl Layer {
    /// The layer of the kind called `SUBJECT_ASPECT`: the aspect says it, else the subject.
    pub(super) fn of(subject: &str, aspect: &str) -> Self {
        let named = |text: &str| WORDS.iter().find(|(word, _)| text.contains(word));
        let found = named(aspect).or_else(|| named(subject));
        found.map_or(Self::Saying, |(_, layer)| *layer)
    }

    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Contents => "contents",
            Self::Facts => "facts",
            Self::Allocation => "allocation",
            Self::Metadata => "metadata",
            Self::Host => "host",
            Self::CrossReading => "cross_reading",
            Self::Saying => "saying",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_s_name_says_its_layer() {
        let layers = [
            ("exit_code", "divergence", Layer::Exit),
            ("resize", "content_divergence", Layer::Contents),
            ("resize", "info_divergence", Layer::Facts),
            ("chain", "map_divergence", Layer::Allocation),
            ("convert", "check_divergence", Layer::Metadata),
            ("input_changed", "divergence", Layer::Host),
            ("convert", "reading_refused", Layer::CrossReading),
            ("chain", "metadata_divergence", Layer::Metadata),
            ("chain", "host_divergence", Layer::Host),
            ("measure", "numeric_divergence", Layer::Saying),
        ];
        for (subject, aspect, layer) in layers {
            assert_eq!(Layer::of(subject, aspect), layer, "{subject}_{aspect}");
        }
    }
}
