//! The head of a JUnit document: counts, time and properties. It is overwritten in place.

use std::io;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use quick_junit::{Property, Report, TestSuite};

use crate::run::record::{Class, Record, ToolName};

/// The size of the head in bytes. [`PROPERTY_CHARACTERS_MAX`] bounds its content.
pub(super) const HEAD_BYTES: usize = 2048;

/// How many characters of a property are kept, so that the head fits its space whatever a tool's version string is.
pub(super) const PROPERTY_CHARACTERS_MAX: usize = 60;

/// The end of the document.
pub(super) const TAIL: &str = "    </testsuite>\n</testsuites>\n";

/// The name of the test suite.
pub(super) const SUITE_NAME: &str = "imgduel";

/// The counts and properties of the document so far.
pub(super) struct Head {
    pub(super) tests: usize,
    pub(super) failures: usize,
    pub(super) errors: usize,
    pub(super) skipped: usize,
    /// The start of the file or of its first case, whichever is earlier.
    pub(super) began: SystemTime,
    /// The end of the last case.
    pub(super) ended: SystemTime,
    pub(super) tools: Option<[ToolName; 2]>,
    pub(super) seed: Option<(String, Option<u64>)>,
    pub(super) strict: bool,
}

impl Head {
    /// Counts a case.
    pub(super) fn count(&mut self, record: &Record) {
        self.tests += 1;
        match record.class() {
            Class::Match => {}
            Class::Divergence | Class::KnownElsewhere => self.failures += 1,
            Class::Inconclusive | Class::Flaky if self.strict => self.failures += 1,
            Class::Known | Class::Inconclusive | Class::Flaky | Class::Unsupported => {
                self.skipped += 1;
            }
        }
        if let Some(started) = record.started.map(SystemTime::from) {
            self.began = self.began.min(started);
            self.ended = self.ended.max(started + record.duration());
        }
        let tools = || [record.candidate.clone(), record.reference.clone()];
        self.tools.get_or_insert_with(tools);
        let seed = || (record.generation.clone(), record.seed);
        self.seed.get_or_insert_with(seed);
    }

    /// The document up to the first case, padded to [`HEAD_BYTES`].
    pub(super) fn text(&self) -> io::Result<String> {
        let mut suite = TestSuite::new(SUITE_NAME);
        suite.set_timestamp(DateTime::<Utc>::from(self.began));
        suite.set_time(self.ended.duration_since(self.began).unwrap_or_default());
        for (name, value) in self.properties() {
            let value: String = value.chars().take(PROPERTY_CHARACTERS_MAX).collect();
            suite.add_property(Property::new(name, value));
        }
        suite.tests = self.tests;
        suite.failures = self.failures;
        suite.errors = self.errors;
        suite.skipped = self.skipped;
        let text = serialized(suite)?;
        let head = text.strip_suffix(TAIL);
        let head = head.ok_or_else(|| io::Error::other("the suite is not closed as expected"))?;
        if head.len() > HEAD_BYTES {
            return Err(io::Error::other("the head is longer than its space"));
        }
        // Whitespace between elements has no meaning.
        let blanks = HEAD_BYTES - head.len() - 1;
        Ok(format!("{head}{:blanks$}\n", ""))
    }

    fn properties(&self) -> Vec<(&'static str, String)> {
        let mut properties = vec![("imgduel", env!("CARGO_PKG_VERSION").to_owned())];
        if let Some([candidate, reference]) = &self.tools {
            properties.extend([
                ("candidate", candidate.name.clone()),
                ("candidate-version", candidate.version.clone()),
                ("reference", reference.name.clone()),
                ("reference-version", reference.version.clone()),
            ]);
        }
        if let Some((generation, seed)) = &self.seed {
            properties.push(("generation", generation.clone()));
            properties.extend(seed.map(|seed| ("seed", seed.to_string())));
        }
        properties
    }
}

pub(super) fn serialized(suite: TestSuite) -> io::Result<String> {
    let mut report = Report::new(SUITE_NAME);
    // `add_test_suite` would count the suite's cases, which are not in the suite here.
    (report.tests, report.failures) = (suite.tests, suite.failures);
    (report.errors, report.skipped) = (suite.errors, suite.skipped);
    report.timestamp = suite.timestamp;
    report.time = suite.time;
    report.test_suites.push(suite);
    report.to_string().map_err(io::Error::other)
}
