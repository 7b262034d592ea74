//! The features of a build of qemu-img: formats, commands, flags, options, and the requirements of some values.
//!
//! Distributions omit what they do not support, and older releases lack newer features. The program is queried, each
//! item once and only when needed. If it does not report an item, the item is assumed to exist: a build whose help
//! cannot be parsed gets all requests. Only qemu-img's own file uses this; it judges no answers.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::secret;
use crate::image::format::Format;
use crate::image::options::CreateOption;
use crate::process::{self, Ending, Invocation, SandboxPolicy};
use crate::tool::request::{ImageFile, Request};

/// The commands of requests, as `qemu-img --help` lists them.
const COMMANDS: [&str; 15] = [
    "amend", "bench", "bitmap", "check", "commit", "compare", "convert", "create", "dd", "info",
    "map", "measure", "rebase", "resize", "snapshot",
];

/// Flags that are newer than their commands.
const LATER_FLAGS: [(&str, &str); 4] = [
    ("map", "--start-offset"),
    ("map", "--max-length"),
    ("resize", "--preallocation"),
    ("resize", "--shrink"),
];

/// The creation options of drawn cases.
const OPTIONS: [(Format, &[&str]); 8] = [
    (Format::Raw, &["preallocation"]),
    (
        Format::Qcow2,
        &[
            "backing_file",
            "backing_fmt",
            "cluster_size",
            "compat",
            "compression_type",
            "data_file",
            "data_file_raw",
            "encrypt.format",
            "extended_l2",
            "lazy_refcounts",
            "preallocation",
            "refcount_bits",
        ],
    ),
    (
        Format::Vmdk,
        &[
            "adapter_type",
            "backing_file",
            "compat6",
            "hwversion",
            "subformat",
            "toolsversion",
            "zeroed_grain",
        ],
    ),
    (Format::Vpc, &["force_size", "subformat"]),
    (
        Format::Vhdx,
        &["block_size", "block_state_zero", "log_size", "subformat"],
    ),
    (Format::Vdi, &["static"]),
    (Format::Qcow, &["backing_file", "encrypt.format"]),
    (Format::Parallels, &["cluster_size"]),
];

/// The qcow2 options that set an incompatible feature in the image, so that a build without the option cannot read it
/// (qcow2 specification), unless they have this value.
const MARKS: [(&str, &str); 3] = [
    ("compression_type", "zlib"),
    ("data_file", ""),
    ("extended_l2", "off"),
];

/// Values that a build may lack even if it has the option, because they need a library. The help does not list them, so
/// an image is created.
const VALUES: [(&str, &str, &[&str]); 3] = [
    ("compression_type", "zstd", &[]),
    ("encrypt.format", "aes", &["-o", secret::KEY_SECRET]),
    (
        "encrypt.format",
        "luks",
        &["-o", secret::KEY_SECRET, "-o", "encrypt.iter-time=10"],
    ),
];

/// A build, and the results of the queries.
pub(super) struct Build {
    program: PathBuf,
    limit: Duration,
    listed: OnceLock<Listed>,
    /// The options that a command lists for a format.
    options: Mutex<HashMap<(&'static str, Format), ListedOptions>>,
    results: Mutex<HashMap<Vec<String>, QueryResult>>,
}

/// The options of a list; `None` if the list could not be understood.
type ListedOptions = Option<Arc<HashSet<String>>>;

/// The lists in its help; `None` if there is no list.
struct Listed {
    commands: Option<HashSet<String>>,
    formats: Option<HashSet<String>>,
}

/// The result of a query.
#[derive(Clone)]
enum QueryResult {
    /// The program succeeded with this output.
    Output(Arc<str>),
    /// The program refused.
    Refused,
    /// The output could not be understood.
    Nothing,
}

impl Build {
    /// Returns a build without queries. `limit` is the time limit of each.
    pub(super) fn new(program: &Path, limit: Duration) -> Self {
        Self {
            program: program.to_owned(),
            limit,
            listed: OnceLock::new(),
            options: Mutex::default(),
            results: Mutex::default(),
        }
    }

    /// Returns the name of what the build lacks for this request; `line` is its command line, empty for qemu-io.
    pub(super) fn lack(&self, request: &Request, line: &[String]) -> Option<String> {
        let command = line.first().map(String::as_str);
        let lacking_command = command.and_then(|command| self.lacking_command(command));
        lacking_command
            .or_else(|| {
                let mut flags = LATER_FLAGS
                    .iter()
                    .filter(|(of, flag)| command == Some(*of) && line.iter().any(|w| w == flag));
                flags.find_map(|(command, flag)| self.lacking_flag(command, flag))
            })
            .or_else(|| {
                let (read, made) = secret::images(request);
                let read = read.iter().find_map(|file| self.unreadable(file));
                read.or_else(|| made.and_then(|file| self.unmakeable(file)))
            })
            .or_else(|| match request {
                Request::Measure { target, .. } => self.lacking_format(*target),
                Request::Amend { options, .. } => {
                    let listed = self.options("amend", Format::Qcow2)?;
                    let mut wanted = options.iter().map(CreateOption::name);
                    let missing = wanted.find(|name| !listed.contains(*name))?;
                    Some(format!("amend's option {missing}"))
                }
                Request::Rebase { mode, .. } => mode
                    .backing_format
                    .and_then(|format| self.lacking_format(format)),
                _ => None,
            })
    }

    /// Whether the build has this command, if it is one of its own, and this format.
    pub(super) fn has(&self, command: Option<&str>, format: Format) -> bool {
        let lacking = command.and_then(|command| self.lacking_command(command));
        lacking.or_else(|| self.lacking_format(format)).is_none()
    }

    /// Returns the names of all that the build lacks for drawn cases.
    pub(super) fn lacks(&self) -> Vec<String> {
        let commands = COMMANDS
            .iter()
            .filter_map(|name| self.lacking_command(name));
        let formats = Format::all().filter_map(|format| self.lacking_format(format));
        let flags = LATER_FLAGS
            .iter()
            .filter_map(|(command, flag)| self.lacking_flag(command, flag));
        let options = OPTIONS.iter().flat_map(|(format, options)| {
            let has_it = self.lacking_format(*format).is_none();
            let names = options.iter().filter(move |_| has_it);
            names.filter_map(|name| self.lacking_option(*format, name))
        });
        let values = VALUES.iter().filter_map(|(option, value, _)| {
            let has_it = self.lacking_option(Format::Qcow2, option).is_none();
            has_it.then(|| self.lacking_value(option, value)).flatten()
        });
        commands
            .chain(formats)
            .chain(flags)
            .chain(options)
            .chain(values)
            .collect()
    }

    /// Returns what the build lacks to read an image or its backing images.
    fn unreadable(&self, file: &ImageFile) -> Option<String> {
        self.lacking_format(file.format)
            .or_else(|| {
                let marked = MARKS.iter().find_map(|(option, without)| {
                    let value = value(file, option).filter(|_| file.format == Format::Qcow2)?;
                    let lacking = || self.lacking_option(file.format, option);
                    (value != *without).then(lacking).flatten()
                });
                marked.or_else(|| self.lacking_values(file))
            })
            .or_else(|| {
                file.backing
                    .as_deref()
                    .and_then(|below| self.unreadable(below))
            })
    }

    /// Returns what the build lacks to create an image.
    fn unmakeable(&self, file: &ImageFile) -> Option<String> {
        self.lacking_format(file.format)
            .or_else(|| {
                let mut names = file.options.iter().map(CreateOption::name);
                names.find_map(|name| self.lacking_option(file.format, name))
            })
            .or_else(|| self.lacking_values(file))
            .or_else(|| {
                file.backing
                    .as_deref()
                    .and_then(|below| self.unreadable(below))
            })
    }

    fn lacking_command(&self, command: &str) -> Option<String> {
        let is_missing = !self.listed().commands.as_ref()?.contains(command);
        is_missing.then(|| format!("the command {command}"))
    }

    fn lacking_format(&self, format: Format) -> Option<String> {
        let is_missing = !self.listed().formats.as_ref()?.contains(format.name());
        is_missing.then(|| format!("the format {format}"))
    }

    fn listed(&self) -> &Listed {
        self.listed.get_or_init(|| {
            let output = self.output_of(&["--help"]).unwrap_or_default();
            Listed {
                commands: commands(&output).map(|listed| listed.map(str::to_owned).collect()),
                formats: formats(&output).map(|listed| listed.map(str::to_owned).collect()),
            }
        })
    }

    fn lacking_flag(&self, command: &str, flag: &str) -> Option<String> {
        let output = self.output_of(&[command, "--help"])?;
        (!has_flag(&output, command, flag)?).then(|| format!("{command} {flag}"))
    }

    fn lacking_option(&self, format: Format, option: &str) -> Option<String> {
        let is_missing = !self.options("create", format)?.contains(option);
        is_missing.then(|| format!("the option {option} of {format}"))
    }

    fn options(&self, command: &'static str, format: Format) -> ListedOptions {
        let mut options = self.options.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = options.entry((command, format)).or_insert_with(|| {
            let mut words = vec![command, "-f", format.name(), "-o", "help"];
            // With a file name, it also lists the options of the protocol below the format; it does not create the file.
            words.extend((command == "create").then_some("image"));
            let output = self.output_of(&words)?;
            Some(Arc::new(listed_options(&output)?))
        });
        listed.clone()
    }

    fn lacking_values(&self, file: &ImageFile) -> Option<String> {
        let rows = VALUES.iter().filter(|_| file.format == Format::Qcow2);
        let mut wanted =
            rows.filter(|(option, wanted, _)| value(file, option).as_deref() == Some(*wanted));
        wanted.find_map(|(option, value, _)| self.lacking_value(option, value))
    }

    /// Returns the value if the build creates a plain image but refuses one with this value.
    fn lacking_value(&self, option: &str, value: &str) -> Option<String> {
        let plain = ["create", "-q", "-f", "qcow2"];
        let place = ["image", "1M"];
        let (_, _, tool_env) = VALUES
            .iter()
            .find(|row| (row.0, row.1) == (option, value))?;
        let wanted = format!("{option}={value}");
        let with = ["--object", secret::OBJECT, "-o", &wanted];
        let with = [&plain[..], &with, tool_env, &place].concat();
        let refuses = matches!(self.query(&with), QueryResult::Refused);
        let makes_any = || {
            matches!(
                self.query(&[&plain[..], &place].concat()),
                QueryResult::Output(_)
            )
        };
        (refuses && makes_any()).then_some(wanted)
    }

    fn output_of(&self, arguments: &[&str]) -> Option<Arc<str>> {
        match self.query(arguments) {
            QueryResult::Output(output) => Some(output),
            QueryResult::Refused | QueryResult::Nothing => None,
        }
    }

    /// Runs a query once. The lock is held meanwhile, because other threads with the same query would have to wait
    /// anyway.
    fn query(&self, arguments: &[&str]) -> QueryResult {
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = results.get(&arguments) {
            return known.clone();
        }
        let answer = self.run_query(&arguments).unwrap_or(QueryResult::Nothing);
        results.insert(arguments, answer.clone());
        answer
    }

    fn run_query(&self, arguments: &[String]) -> Option<QueryResult> {
        let scratch = tempfile::tempdir().ok()?;
        let invocation = Invocation {
            program: &self.program,
            arguments,
            directory: scratch.path(),
            limit: self.limit,
            grace: Duration::ZERO,
            sandbox: Some(&SandboxPolicy::default()),
            environment: &[],
            input: None,
            memory_bytes_max: None,
        };
        let finished = process::run(&invocation).ok()?;
        Some(match finished.ending {
            Ending::Exited(0) => QueryResult::Output(finished.stdout.text().into()),
            Ending::Exited(_) => QueryResult::Refused,
            _ => QueryResult::Nothing,
        })
    }
}

/// Returns the value of an option, if it was given.
fn value(file: &ImageFile, name: &str) -> Option<String> {
    let mut options = file.options.iter();
    let given = options.find(|option| option.name() == name)?;
    Some(given.value())
}

/// Returns the commands in its help: below "Command syntax:" until 10.0, below "Recognized commands" since.
fn commands(help: &str) -> Option<impl Iterator<Item = &str>> {
    let begins = |line: &&str| {
        !["Command syntax:", "Recognized commands"]
            .iter()
            .any(|b| line.starts_with(b))
    };
    let listed = help.lines().skip_while(begins).skip(1);
    // Without such a line there is no list.
    listed.clone().next()?;
    let listed = listed.skip_while(|line| line.trim().is_empty());
    let listed = listed.take_while(|line| line.starts_with(' '));
    Some(listed.filter_map(|line| line.split_whitespace().next()))
}

/// Returns the formats in its help: after "Supported formats:" until 10.0, below "Supported image formats:" since.
fn formats(help: &str) -> Option<impl Iterator<Item = &str>> {
    let heads = ["Supported formats:", "Supported image formats:"];
    let mut found = heads.iter().filter_map(|head| help.split_once(head));
    let (_, behind) = found.next()?;
    let (listed, _) = behind.split_once("\nSee ").unwrap_or((behind, ""));
    Some(listed.split_whitespace())
}

/// Whether the help of a command has a flag. Until 10.0, the help of every command is that of all, with one line for
/// each.
fn has_flag(help: &str, command: &str, flag: &str) -> Option<bool> {
    let section = match help.split_once("Command syntax:") {
        None if help.contains(command) => help,
        None => return None,
        Some((_, listed)) => {
            let mut lines = listed.lines();
            lines.find(|line| line.split_whitespace().next() == Some(command))?
        }
    };
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let mut words = section.split(|letter: char| !is_part(letter));
    Some(words.any(|word| word == flag))
}

/// Returns the options of a list; `None` if the text is not such a list.
fn listed_options(list: &str) -> Option<HashSet<String>> {
    let (_, listed) = list.split_once(" options")?;
    let lines = listed.lines().map(str::trim);
    let names = lines.filter_map(|line| line.split_once('='));
    let names: HashSet<String> = names.map(|(name, _)| name.to_owned()).collect();
    (!names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests;
