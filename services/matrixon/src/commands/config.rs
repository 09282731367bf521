//! `matrixon config generate|check|schema|signing-key`

use std::path::Path;

use anyhow::Result;
use matrixon_matrix::keys::format_signing_key;
use matrixon_runtime::{config::generate, random};

use super::show;
use crate::{
    cli::ConfigCommand,
    config::{Config, load_from},
    settings::Settings,
};

pub(crate) fn run(path: Option<&Path>, command: &ConfigCommand) -> Result<()> {
    match command {
        ConfigCommand::Generate => show(generate::<Config>().trim_end()),
        ConfigCommand::Schema => show(format_args!("{:#}", schemars::schema_for!(Config).to_value())),
        ConfigCommand::SigningKey => show(format_signing_key(&random::bytes()).trim_end()),
        ConfigCommand::Check { roles } => {
            let (config, source) = load_from(path)?;
            Settings::complete(config, roles)?.check()?;
            match source.file() {
                Some(file) => show(format_args!("{} is fine", file.display())),
                None => show("there is no configuration file; the defaults are fine"),
            }
        }
    }
    Ok(())
}
