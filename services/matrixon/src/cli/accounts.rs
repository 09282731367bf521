//! `matrixon user …`, `matrixon registration-token …`, `matrixon report …`, `matrixon audit …`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Where an administration command acts, and how it answers.
#[derive(Debug, Default, Args)]
pub(crate) struct AdminArgs {
    /// Act through the homeserver at this URL; without it on the database of the configuration
    #[arg(long, global = true, env = "MATRIXON_ADMIN_URL", value_name = "URL", help_heading = "Administration")]
    pub(crate) server: Option<String>,
    /// An administrator's access token, or the secret of `gateway.admin_token`
    #[arg(
        long,
        global = true,
        env = "MATRIXON_ADMIN_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        help_heading = "Administration"
    )]
    pub(crate) token: Option<String>,
    /// A file with that token
    #[arg(
        long,
        global = true,
        env = "MATRIXON_ADMIN_TOKEN_FILE",
        value_name = "FILE",
        conflicts_with = "token",
        help_heading = "Administration"
    )]
    pub(crate) token_file: Option<PathBuf>,
    /// A file (PEM) with certificates of authorities to be trusted beside those of this machine
    #[arg(long, global = true, env = "MATRIXON_ADMIN_CA_FILE", value_name = "FILE", help_heading = "Administration")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Print JSON, of lists one object a line
    #[arg(long, global = true, help_heading = "Administration")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    #[command(subcommand)]
    pub(crate) command: UserCommand,
}

#[derive(Debug, Args)]
pub(crate) struct RegistrationTokenArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    #[command(subcommand)]
    pub(crate) command: RegistrationTokenCommand,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    #[command(subcommand)]
    pub(crate) command: ReportCommand,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    #[command(subcommand)]
    pub(crate) command: AuditCommand,
}

/// The account that a command is about.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// A user id, or its part between `@` and `:`
    pub(crate) user: String,
}

/// The same for what cannot be undone.
#[derive(Debug, Args)]
pub(crate) struct Destroyed {
    /// A user id, or its part between `@` and `:`
    pub(crate) user: String,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// Where a password comes from: a question on the terminal, unless told otherwise.
#[derive(Debug, Args)]
pub(crate) struct PasswordArgs {
    /// Read the password from the first line of standard input
    #[arg(long, conflicts_with = "password")]
    pub(crate) password_stdin: bool,
    /// The password itself: it will be in the shell's history and in the list of processes
    #[arg(long, value_name = "PASSWORD")]
    pub(crate) password: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Create an account
    Create {
        /// The part of the user id before the colon
        username: String,
        /// Make the account an administrator
        #[arg(long)]
        admin: bool,
        /// The name that others see [default: the username]
        #[arg(long, value_name = "NAME")]
        displayname: Option<String>,
        #[command(flatten)]
        password: PasswordArgs,
        /// Nobody can log in with a password until one is set
        #[arg(long, conflicts_with_all = ["password", "password_stdin"])]
        no_password: bool,
    },
    /// List accounts in the order of their ids
    List {
        /// Only user ids that begin so
        prefix: Option<String>,
        /// Only administrators (`--admin=false`: only others; so with the options below)
        #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
        admin: Option<bool>,
        /// Only deactivated accounts
        #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
        deactivated: Option<bool>,
        /// Only locked accounts
        #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
        locked: Option<bool>,
        /// Only suspended accounts
        #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
        suspended: Option<bool>,
        /// Stop after so many [default: all]
        #[arg(long, value_name = "NUMBER")]
        limit: Option<usize>,
        /// All columns
        #[arg(long)]
        detailed: bool,
    },
    /// Show an account
    Show(Named),
    /// Set a new password and end all sessions
    ResetPassword {
        #[command(flatten)]
        user: Named,
        #[command(flatten)]
        password: PasswordArgs,
        /// Leave the sessions as they are
        #[arg(long)]
        keep_sessions: bool,
    },
    /// Make an account an administrator
    Promote(Named),
    /// Make an administrator an ordinary account
    Demote(Named),
    /// Refuse all that the account does, until it is unlocked; its sessions stay
    Lock(Named),
    /// Let a locked account in again
    Unlock(Named),
    /// Let the account read, but not send
    Suspend(Named),
    /// Let a suspended account send again
    Unsuspend(Named),
    /// End the account: its sessions, devices and keys; nobody can ever register the user id again
    Deactivate {
        #[command(flatten)]
        user: Destroyed,
        /// Forget password and profile as well
        #[arg(long)]
        erase: bool,
    },
    /// Make a deactivated account usable again; what its deactivation removed is not brought back
    Reactivate {
        #[command(flatten)]
        user: Named,
        #[command(flatten)]
        password: PasswordArgs,
        /// Nobody can log in with a password until one is set
        #[arg(long, conflicts_with_all = ["password", "password_stdin"])]
        no_password: bool,
    },
    /// Deactivate the account and forget its password and profile
    Erase(Destroyed),
    /// Erase the account and remove all else that is kept of it but its id, such as key backups
    Delete(Destroyed),
    /// End all sessions
    Logout(Destroyed),
    /// List the devices of an account
    Devices {
        #[command(flatten)]
        user: Named,
        /// All columns
        #[arg(long)]
        detailed: bool,
    },
    /// End the sessions of devices
    DeleteDevice {
        /// A user id, or its part between `@` and `:`
        user: String,
        #[arg(required = true, value_name = "DEVICE")]
        devices: Vec<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Create many accounts from a file; what exists already is left as it is, so run it again after an interruption
    Import {
        /// CSV with a line of column names, or an object a line: username, password or `password_hash` (argon2id, bcrypt), admin,
        /// displayname. `-`: standard input
        file: PathBuf,
        /// What the file is [default: by its name]
        #[arg(long)]
        format: Option<ImportFormat>,
        /// Judge the rows, write nothing
        #[arg(long)]
        dry_run: bool,
        /// Where refused rows are listed [default: FILE.refused.csv]
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportFormat {
    Csv,
    Jsonl,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RegistrationTokenCommand {
    /// Create a token and print it
    Create {
        /// The token itself [default: a random one]
        #[arg(value_name = "TOKEN")]
        registration_token: Option<String>,
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
    List {
        /// All columns
        #[arg(long)]
        detailed: bool,
    },
    /// Make a token unusable
    Revoke {
        #[arg(value_name = "TOKEN")]
        registration_token: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// List reports, the newest first
    List {
        /// Only of rooms, of events or of users
        #[arg(long, value_parser = ["room", "event", "user"])]
        kind: Option<String>,
        /// Only by this user id
        #[arg(long, value_name = "USER_ID")]
        reporter: Option<String>,
        /// All columns
        #[arg(long)]
        detailed: bool,
    },
    /// Show one report
    Show {
        /// The number that `list` shows
        report: String,
    },
    /// Remove a report that has been dealt with
    Delete {
        /// The number that `list` shows
        report: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List administrative actions, the latest first
    List {
        /// Only by this user id, `token` or `cli:…`
        #[arg(long)]
        actor: Option<String>,
        /// Only of this kind, such as `user.lock`
        #[arg(long)]
        action: Option<String>,
        /// Only concerning this user id, or the address of a replica
        #[arg(long)]
        target: Option<String>,
        /// Stop after so many
        #[arg(long, value_name = "NUMBER", default_value_t = 50)]
        limit: usize,
        /// All columns
        #[arg(long)]
        detailed: bool,
    },
    /// Check that nothing in the log was changed or removed
    Verify {
        /// A head that an earlier check printed: it must be in the log
        #[arg(long, value_name = "SEQ:HASH")]
        expect: Option<String>,
        /// Check an exported file in place of the log
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Write the log as one JSON object a line, the oldest first
    Export {
        /// Only what comes after this record
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        after: i64,
        /// Where to [default: standard output]
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}
