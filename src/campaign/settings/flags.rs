//! A command line that consists only of settings: their grammar without any command around it.

use super::Settings;

/// A command line that consists only of settings.
#[derive(clap::Parser)]
#[command(name = "imgduel", disable_help_flag = true)]
pub(super) struct Flags {
    #[command(flatten)]
    pub(super) settings: Settings,
}
