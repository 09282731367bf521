//! What the command line says about itself: completion, manual pages, docs/reference/cli.md.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use clap::{Arg, Command, CommandFactory as _};
use clap_complete::Shell;

use super::show;
use crate::cli::Cli;

const NAME: &str = "matrixon";

pub(crate) fn completion(shell: Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    // as with `show`: that nobody reads it to its end is no error
    let _closed = io::stdout().write_all(&script);
}

pub(crate) fn man(output: Option<&Path>) -> Result<()> {
    let Some(directory) = output else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        let _closed = io::stdout().write_all(&page);
        return Ok(());
    };
    let unwritable = || format!("cannot write manual pages into {}", directory.display());
    fs::create_dir_all(directory).with_context(unwritable)?;
    clap_mangen::generate_to(Cli::command(), directory).with_context(unwritable)
}

pub(crate) fn reference() {
    show(build_reference().trim_end());
}

/// Every command with its arguments, as Markdown.
fn build_reference() -> String {
    let mut root = Cli::command();
    root.build();
    let mut text = String::from(
        "# Command line\n\n\
         Generated from the program: `matrixon reference > docs/reference/cli.md`. A test keeps it current.\n",
    );
    describe(&mut text, &root, &mut Vec::new());
    text
}

fn describe(text: &mut String, command: &Command, path: &mut Vec<String>) {
    path.push(command.get_name().to_owned());
    let name = path.join(" ");
    // writing to a string cannot fail
    let _ = writeln!(text, "\n## `{name}`\n");
    if let Some(about) = command.get_long_about().or(command.get_about()) {
        let _ = writeln!(text, "{}.\n", about.to_string().trim_end_matches('.'));
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let usage: Vec<&str> = usage.lines().map(str::trim).collect();
    let _ = writeln!(text, "```\n{}\n```", usage.join("\n"));
    let arguments: Vec<&Arg> = command.get_arguments().filter(|argument| is_own(argument, path.len())).collect();
    if !arguments.is_empty() {
        text.push_str("\n| argument | meaning |\n|---|---|\n");
        for argument in arguments {
            let _ = writeln!(text, "| `{}` | {} |", spell(argument), explain(argument));
        }
    }
    if let Some(after) = command.get_after_help().filter(|_| path.len() == 1) {
        let _ = writeln!(text, "\n{after}.");
    }
    for child in command.get_subcommands().filter(|child| !child.is_hide_set() && child.get_name() != "help") {
        describe(text, child, path);
    }
    path.pop();
}

/// `--help` and `--version` explain themselves, and what several commands take stands with the first of them.
fn is_own(argument: &Arg, depth: usize) -> bool {
    let id = argument.get_id().as_str();
    let inherited = argument.is_global_set() && (depth > 2 || depth == 2 && id == "config");
    !argument.is_hide_set() && !matches!(id, "help" | "version") && !inherited
}

fn spell(argument: &Arg) -> String {
    let values: Vec<String> =
        argument.get_value_names().unwrap_or_default().iter().map(|name| format!("<{name}>")).collect();
    let takes = argument.get_num_args().is_some_and(|number| number.takes_values());
    let values = if takes { values.join(" ") } else { String::new() };
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let names: Vec<String> = [short, long].into_iter().flatten().collect();
    [names.join(", "), values].join(" ").trim().to_owned()
}

fn explain(argument: &Arg) -> String {
    let mut text =
        argument.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|").replace('\n', " ");
    let takes_values = argument.get_num_args().is_some_and(|number| number.takes_values());
    let choices: Vec<String> =
        argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if !choices.is_empty() && takes_values {
        let _ = write!(text, " ({})", choices.join(", "));
    }
    if let Some(value) = argument.get_default_values().first().filter(|_| takes_values) {
        let _ = write!(text, " [default: {}]", value.to_string_lossy());
    }
    if let Some(variable) = argument.get_env().and_then(|variable| variable.to_str()) {
        let _ = write!(text, " (`{variable}`)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_current() {
        let path = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../../docs/reference/cli.md");
        let written = fs::read_to_string(&path).unwrap_or_default();
        let current = build_reference();
        assert!(
            written.trim_end() == current.trim_end(),
            "{} is not current: run `cargo run -p matrixon -- reference > docs/reference/cli.md`",
            path.display()
        );
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_environment_reaches_the_reference() {
        assert!(!build_reference().contains("[env:"));
    }
}
