//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use matrixon_runtime::role::Role;

#[derive(Debug, Parser)]
#[command(
    name = "matrixon",
    version,
    about = "A Matrix homeserver: one process or a cluster",
    propagate_version = true
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
    #[command(subcommand)]
    User(UserCommand),
    /// Manage the tokens that allow registration
    #[command(subcommand)]
    RegistrationToken(RegistrationTokenCommand),
    /// Try a running homeserver as a client would: register, send, sync, look at its probes and metrics
    Selftest(SelftestArgs),
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
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Create an account; the password is read from standard input unless given
    Create {
        /// The part of the user id before the colon
        username: String,
        /// Make the account an administrator
        #[arg(long)]
        admin: bool,
        #[arg(long, value_name = "PASSWORD")]
        password: Option<String>,
    },
    /// Set a new password and end all sessions of the account
    ResetPassword {
        /// The part of the user id before the colon, or the whole user id
        username: String,
        #[arg(long, value_name = "PASSWORD")]
        password: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RegistrationTokenCommand {
    /// Create a token and print it
    Create {
        /// The token itself [default: a random one]
        token: Option<String>,
        /// How many accounts may be made with it [default: any number]
        #[arg(long, value_name = "NUMBER")]
        uses: Option<u32>,
        /// How long it is valid [default: for ever]
        #[arg(long, value_name = "SECONDS")]
        expires_in_seconds: Option<u64>,
        /// Accounts made with it are administrators
        #[arg(long)]
        admin: bool,
    },
    /// List all tokens
    List,
    /// Make a token unusable
    Revoke { token: String },
}
