//! Questions on the terminal.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, Result};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::{cli::PasswordArgs, failure::Failure};

/// From where the arguments say; otherwise asked for twice on the terminal, or read from standard input if that is none.
pub(crate) fn read_password(args: PasswordArgs) -> Result<String> {
    if let Some(password) = args.password {
        return Ok(password);
    }
    if args.password_stdin || !io::stdin().is_terminal() {
        return read_line();
    }
    let first = ask_secret("password: ")?;
    if ask_secret("the same again: ")? != first {
        return Err(Failure::failed("the two differ; nothing was done").into());
    }
    Ok(first)
}

/// Goes on only with a yes. Without a terminal to ask on, `--yes` must have been given.
pub(crate) fn confirm(yes: bool, question: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("there is no terminal to ask on: confirm with `--yes`").into());
    }
    eprint!("{question} [y/N] ");
    io::stderr().flush()?;
    match read_line()?.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::failed("nothing was done").into()),
    }
}

fn read_line() -> Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("cannot read standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn ask_secret(question: &str) -> Result<String> {
    eprint!("{question}");
    io::stderr().flush()?;
    let _hidden = Hidden::begin();
    let line = read_line();
    eprintln!();
    line
}

/// What is typed is not shown, until this is dropped.
struct Hidden(Option<Termios>);

impl Hidden {
    fn begin() -> Self {
        let Ok(before) = tcgetattr(io::stdin()) else { return Self(None) };
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        let set = tcsetattr(io::stdin(), OptionalActions::Flush, &silent);
        Self(set.is_ok().then_some(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // the terminal may be gone
            let _gone = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
