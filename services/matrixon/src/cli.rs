//! The command line.

mod accounts;
mod operate;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use matrixon_runtime::role::Role;

pub(crate) use self::{
    accounts::{
        AdminArgs, AuditArgs, AuditCommand, Destroyed, ImportFormat, Named, PasswordArgs, RegistrationTokenArgs,
        RegistrationTokenCommand, ReportArgs, ReportCommand, UserArgs, UserCommand,
    },
    operate::AdminCommand,
};

const EXIT_CODES: &str = "Exit codes: 0 done · 1 failed, or refused as things are · 2 wrong usage or configuration · 3 not found · \
4 permission denied · 5 the server cannot be reached";

#[derive(Debug, Parser)]
#[command(
    name = "matrixon",
    version,
    about = "A Matrix homeserver: one process or a cluster",
    propagate_version = true,
    after_help = EXIT_CODES
)]
pub(crate) struct Cli {
    /// The configuration file [default: `$MATRIXON_CONFIG`, `./matrixon.toml`, `/etc/matrixon/matrixon.toml`]
    #[arg(long, short, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the homeserver: all roles in one process, or the given ones
    Serve {
        /// gateway, auth, room, sync, media, federation; several separated by commas or spaces
        #[arg(value_name = "ROLE", value_delimiter = ',')]
        roles: Vec<Role>,
    },
    /// Write, check or describe the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Prepare and inspect the database
    #[command(subcommand)]
    Database(DatabaseCommand),
    /// Manage accounts
    User(UserArgs),
    /// Manage the tokens that allow registration
    RegistrationToken(RegistrationTokenArgs),
    /// See what users reported
    Report(ReportArgs),
    /// Look at the log of administrative actions
    Audit(AuditArgs),
    /// Print the completion script of a shell
    Completion { shell: clap_complete::Shell },
    /// Print the manual page, or write one of every command into a directory
    Man {
        #[arg(long, value_name = "DIRECTORY")]
        output: Option<PathBuf>,
    },
    /// Print docs/reference/cli.md
    #[command(hide = true)]
    Reference,
    /// Try a running homeserver as a client would: register, send, sync, look at its probes and metrics
    Selftest(SelftestArgs),
    /// Look after the running processes: all replicas of all roles, found as they find each other
    #[command(subcommand)]
    Admin(AdminCommand),
}

#[derive(Debug, Args)]
pub(crate) struct SelftestArgs {
    /// The client API of the gateway, over plain HTTP
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8008")]
    pub(crate) url: String,
    /// An internal port whose probes and metrics are checked at every address of its name; repeatable
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) internal: Vec<String>,
    /// Where only token holders may register: a token for two accounts [default: one made in the database]
    #[arg(long, value_name = "TOKEN")]
    pub(crate) registration_token: Option<String>,
    /// How long the whole may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) timeout: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print a commented configuration file with every key and its default
    Generate,
    /// Load the configuration and say what is wrong with it
    Check {
        /// Check it for a process with these roles only
        #[arg(value_name = "ROLE", value_delimiter = ',')]
        roles: Vec<Role>,
    },
    /// Print the JSON schema of the configuration
    Schema,
    /// Print a new signing key, for the file at `server.signing_key_path`
    SigningKey,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DatabaseCommand {
    /// Prepare a new homeserver: directories, keys, and the tables of an empty database
    Init,
    /// Apply pending schema migrations
    Migrate,
    /// Show which schema migrations are applied
    Status,
    /// Show how many rows and bytes each table has
    Stats,
    /// Take back one-time keys that may have been given out since the copy from which the database was restored
    AfterRestore,
    /// Make a backup while everything runs
    Backup {
        /// Then delete backups older than `backup.retention_days`
        #[arg(long)]
        prune: bool,
    },
    /// List the backups
    Backups,
    /// Read a backup to its end and check that it is whole
    Verify {
        /// Its name [default: the newest]
        name: Option<String>,
    },
    /// Put a backup back, into an empty PostgreSQL or in place of a SQLite file
    Restore {
        /// Its name, or `latest`
        name: String,
        /// SQLite: move the database that is there aside
        #[arg(long)]
        replace: bool,
    },
    /// Delete backups older than `backup.retention_days`
    Prune {
        /// Only say which
        #[arg(long)]
        dry_run: bool,
    },
    /// Give space of deleted rows back and refresh the planner's statistics
    Vacuum,
}
