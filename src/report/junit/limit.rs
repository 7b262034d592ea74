//! The size of a JUnit document: GitLab accepts no file above 30 MB, so that a campaign without end must leave cases out.
//!
//! Failures are left out last. What is left out is counted in one case of its own.

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus};

use crate::base::prose::counted;

/// The size above which no case is added, in bytes: the rest is for the head, the end and the case that counts.
pub(super) const BYTES_MAX: u64 = 29_000_000;

/// How many bytes of the limit are kept for failures.
const FOR_FAILURES_BYTES: u64 = 5_000_000;

/// The limit of a document, and what it has left out.
pub(super) struct Limit {
    /// The size above which no case is added.
    pub(super) bytes_max: u64,
    /// The number of cases that were left out.
    left_out: u64,
    /// The number of failures among them.
    failures: u64,
}

impl Limit {
    /// Returns the limit of a document that ends at `bytes_max`.
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            left_out: 0,
            failures: 0,
        }
    }

    /// Whether a case still has room behind `end`.
    pub(super) fn has_room(&self, end: u64, case_bytes: usize, is_failure: bool) -> bool {
        let kept = match is_failure {
            true => 0,
            false => FOR_FAILURES_BYTES.min(self.bytes_max / 4),
        };
        end + case_bytes as u64 <= self.bytes_max - kept
    }

    /// Counts a case that is left out. Returns the changes of the numbers of cases, failures and skipped cases in the document.
    pub(super) fn leave_out(&mut self, is_failure: bool) -> (usize, usize, isize) {
        let (was_there, had_failures) = (self.left_out > 0, self.failures > 0);
        self.left_out += 1;
        self.failures += u64::from(is_failure);
        let cases = usize::from(!was_there);
        let failures = usize::from(is_failure && !had_failures);
        (cases, failures, cases as isize - failures as isize)
    }

    /// Returns the case that counts what is left out; `None` if nothing is.
    pub(super) fn case(&self) -> Option<TestCase> {
        if self.left_out == 0 {
            return None;
        }
        let said = format!(
            "{} not in this file, which would be too large for GitLab, {} among them: the records (--json) have all",
            counted(self.left_out, "case"),
            counted(self.failures, "failure")
        );
        let mut status = match self.failures {
            0 => TestCaseStatus::skipped(),
            _ => TestCaseStatus::non_success(NonSuccessKind::Failure),
        };
        status.set_type("left_out");
        status.set_message(said.as_str());
        status.set_description(said.as_str());
        let mut case = TestCase::new("left_out", status);
        case.set_classname("imgduel");
        Some(case)
    }
}
