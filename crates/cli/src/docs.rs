//! The reference page of the command line, `docs/cli.md`, made of the commands themselves.

use std::fmt::Write as _;

use clap::{Arg, Command};

use crate::commands::Cli;

const INTRODUCTION: &str = "\
# The command line

`dify` makes, checks, packs, runs, signs and bundles plugins. This page is generated from the commands; `dify <command>
--help` says the same.

- Results go to standard output, notes and errors to standard error.
- Exit status: 0 for success, 1 for failure, 2 for an invalid command line.
- Only the file named as the output is overwritten; other existing files stay. Files are written atomically.
- `NO_COLOR` turns colours off.

`dify-plugin-slim` is a separate program for workflow engines: it calls a plugin once, with or without a daemon. See
`dify-plugin-slim -h`.
";

/// The page, as Markdown.
///
/// ```
/// let page = plugin_cli::docs::markdown();
/// assert!(page.starts_with("# The command line\n"));
/// assert!(page.contains("\n## `dify plugin package`\n"));
/// ```
pub fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for command in Cli::definition().get_subcommands() {
        section(command, "dify", &mut page);
    }
    page
}

fn section(command: &Command, parent: &str, page: &mut String) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    let name = format!("{parent} {}", command.get_name());
    if command.has_subcommands() {
        for command in command.get_subcommands() {
            section(command, &name, page);
        }
        return;
    }
    let mut put = |text: &str| {
        let _infallible = writeln!(page, "{text}");
    };
    put(&format!("\n## `{name}`\n"));
    if let Some(about) = command.get_about() {
        put(&format!("{about}.\n"));
    }
    let usage = command.clone().render_usage().to_string();
    put(&format!("```text\n{}\n```", usage.trim_start_matches("Usage: ").trim()));
    let arguments: Vec<&Arg> = command.get_arguments().filter(|argument| is_shown(argument)).collect();
    if !arguments.is_empty() {
        put("\n| Argument | Meaning |\n|---|---|");
        for argument in arguments {
            put(&row(argument));
        }
    }
    if let Some(more) = command.get_after_help() {
        put(&format!("\n```text\n{}\n```", more.to_string().trim_end()));
    }
}

fn is_shown(argument: &Arg) -> bool {
    !argument.is_hide_set() && argument.get_id() != "help"
}

fn row(argument: &Arg) -> String {
    let value = argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    let takes_value = argument.get_num_args().is_some_and(|range| range.takes_values());
    let is_switch = argument.get_num_args().is_some_and(|range| range.min_values() == 0);
    let mut name = match (argument.get_short(), argument.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}"),
        (None, Some(long)) => format!("--{long}"),
        (Some(short), None) => format!("-{short}"),
        (None, None) => String::new(),
    };
    if let Some(value) = value.filter(|_| takes_value && !is_switch) {
        let separator = if name.is_empty() { "" } else { " " };
        name.extend([separator, "<", &value, ">"]);
    }
    let mut help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    help = help.replace('|', "\\|").replace('<', "\\<");
    let possible = argument.get_possible_values();
    if takes_value && !argument.is_hide_possible_values_set() && !possible.is_empty() {
        let words: Vec<_> = possible.iter().map(|value| format!("`{}`", value.get_name())).collect();
        help.extend([": ", &words.join(", ")]);
    }
    let defaults: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !defaults.is_empty() && !is_switch && takes_value && !argument.is_hide_default_value_set() {
        help.extend([" (default: `", &defaults.join(", "), "`)"]);
    }
    format!("| `{name}` | {help} |")
}
