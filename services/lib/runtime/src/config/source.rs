//! Where a configuration comes from.

use std::{
    env,
    path::{Path, PathBuf},
};

use super::ConfigError;

/// Looked for in this order when neither `--config` nor `$MATRIXON_CONFIG` is given.
const DEFAULT_FILES: [&str; 2] = ["./matrixon.toml", "/etc/matrixon/matrixon.toml"];

/// A TOML text, where it was found, and the environment that overrides it.
#[derive(Clone, Debug, Default)]
pub struct Source {
    pub(super) file: Option<PathBuf>,
    pub(super) text: Option<String>,
    pub(super) env: Vec<(String, String)>,
}

impl Source {
    /// `--config`, else `$MATRIXON_CONFIG`, `./matrixon.toml`, `/etc/matrixon/matrixon.toml`, else nothing; and the process's environment.
    pub fn discover(explicit: Option<&Path>) -> Self {
        let named = explicit.map(Path::to_owned).or_else(|| env::var_os("MATRIXON_CONFIG").map(PathBuf::from));
        let file = named.or_else(|| DEFAULT_FILES.into_iter().map(PathBuf::from).find(|path| path.exists()));
        Self { file, text: None, env: env::vars().collect() }
    }

    /// A text instead of a file, and no environment.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }

    #[must_use]
    pub fn with_env(mut self, env: impl IntoIterator<Item = (String, String)>) -> Self {
        self.env.extend(env);
        self
    }

    /// The file it reads, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What error messages call the TOML text.
    pub(super) fn name(&self) -> String {
        self.file.as_ref().map_or_else(|| "the configuration".to_owned(), |file| file.display().to_string())
    }

    pub(super) fn read(&self) -> Result<String, ConfigError> {
        match (&self.text, &self.file) {
            (Some(text), _) => Ok(text.clone()),
            (None, Some(file)) => std::fs::read_to_string(file).map_err(|error| ConfigError::Read {
                path: file.clone(),
                what: "the configuration file",
                error,
            }),
            (None, None) => Ok(String::new()),
        }
    }
}
