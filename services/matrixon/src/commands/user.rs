//! `matrixon user …`

mod columns;
mod import;

use std::path::Path;

use anyhow::Result;
use matrixon_proto::admin::v1::{
    CreateUserRequest, DeactivateUserRequest, DeleteDevicesRequest, ListUsersRequest, ReactivateUserRequest,
    ResetPasswordRequest, User, UserRequest, users_client::UsersClient,
};

use self::columns::{DEVICES, USERS, show_user};
use super::{
    admin::{Connection, Table, call, confirm, print_json, read_password},
    block_on, show,
};
use crate::{
    cli::{Destroyed, Named, UserArgs, UserCommand},
    failure::Failure,
};

/// Accounts of one call.
const PAGE: usize = 500;

pub(crate) fn run(path: Option<&Path>, args: UserArgs) -> Result<()> {
    block_on(async {
        let (admin, command) = (args.admin, args.command);
        // questions come before connections
        let command = Asked::of(command)?;
        let connection = Connection::open(path, &admin).await?;
        let done = Users { connection: &connection, json: admin.json }.run(command).await;
        connection.close().await;
        done
    })
}

/// A command whose questions are answered.
enum Asked {
    Create(CreateUserRequest),
    ResetPassword(ResetPasswordRequest),
    Reactivate(ReactivateUserRequest),
    Other(UserCommand),
}

impl Asked {
    fn of(command: UserCommand) -> Result<Self> {
        Ok(match command {
            UserCommand::Create { username, admin, displayname, password, no_password } => {
                let password = if no_password { None } else { Some(read_password(password)?) };
                Self::Create(CreateUserRequest { username, password, admin, displayname })
            }
            UserCommand::ResetPassword { user, password, keep_sessions } => {
                let password = read_password(password)?;
                Self::ResetPassword(ResetPasswordRequest { user: user.user, password, keep_sessions })
            }
            UserCommand::Reactivate { user, password, no_password } => {
                let password = if no_password { None } else { Some(read_password(password)?) };
                Self::Reactivate(ReactivateUserRequest { user: user.user, password })
            }
            UserCommand::Deactivate { user: Destroyed { ref user, yes }, .. } => {
                confirm(
                    yes,
                    &format!("Deactivate {user}? All sessions end, and keys that are in no backup are lost."),
                )?;
                Self::Other(command)
            }
            UserCommand::Erase(Destroyed { ref user, yes }) => {
                confirm(yes, &format!("Erase {user}? The account ends, and its profile is gone for ever."))?;
                Self::Other(command)
            }
            UserCommand::Delete(Destroyed { ref user, yes }) => {
                confirm(yes, &format!("Delete {user}? All of it is gone for ever, and the name too."))?;
                Self::Other(command)
            }
            UserCommand::Logout(Destroyed { ref user, yes }) => {
                confirm(yes, &format!("End all sessions of {user}? Keys that are in no backup are lost."))?;
                Self::Other(command)
            }
            UserCommand::DeleteDevice { ref user, ref devices, yes } => {
                confirm(
                    yes,
                    &format!("Delete {} of {user}? Keys that are in no backup are lost.", devices.join(", ")),
                )?;
                Self::Other(command)
            }
            command => Self::Other(command),
        })
    }
}

struct Users<'a> {
    connection: &'a Connection,
    json: bool,
}

/// One call that names a user and answers with the user.
macro_rules! change {
    ($users:ident, $method:ident, $user:expr) => {
        call!($users.connection, UsersClient.$method, UserRequest { user: $user })?
    };
}

impl Users<'_> {
    async fn run(&self, command: Asked) -> Result<()> {
        match command {
            Asked::Create(request) => self.create(request).await,
            Asked::ResetPassword(request) => self.reset_password(request).await,
            Asked::Reactivate(request) => {
                self.say(&call!(self.connection, UsersClient.reactivate, request)?, "is active again")
            }
            Asked::Other(command) => self.run_other(command).await,
        }
    }

    async fn run_other(&self, command: UserCommand) -> Result<()> {
        match command {
            // asked before
            UserCommand::Create { .. } | UserCommand::ResetPassword { .. } | UserCommand::Reactivate { .. } => Ok(()),
            UserCommand::List { prefix, admin, deactivated, locked, suspended, limit, detailed } => {
                let prefix = prefix.unwrap_or_default();
                let request = ListUsersRequest { prefix, admin, deactivated, locked, suspended, ..Default::default() };
                self.list(request, limit.unwrap_or(usize::MAX), detailed).await
            }
            UserCommand::Show(Named { user }) => {
                let user = change!(self, get, user);
                if self.json {
                    return print_json(&user);
                }
                show_user(&user);
                Ok(())
            }
            UserCommand::Promote(Named { user }) => self.say(&change!(self, promote, user), "is an administrator"),
            UserCommand::Demote(Named { user }) => self.say(&change!(self, demote, user), "is no administrator"),
            UserCommand::Lock(Named { user }) => self.say(&change!(self, lock, user), "is locked"),
            UserCommand::Unlock(Named { user }) => self.say(&change!(self, unlock, user), "is not locked"),
            UserCommand::Suspend(Named { user }) => self.say(&change!(self, suspend, user), "is suspended"),
            UserCommand::Unsuspend(Named { user }) => self.say(&change!(self, unsuspend, user), "is not suspended"),
            UserCommand::Deactivate { user: Destroyed { user, .. }, erase } => {
                let user = call!(self.connection, UsersClient.deactivate, DeactivateUserRequest { user, erase })?;
                self.say(&user, "is deactivated")
            }
            UserCommand::Erase(Destroyed { user, .. }) => self.say(&change!(self, erase, user), "is erased"),
            UserCommand::Delete(Destroyed { user, .. }) => self.say(&change!(self, delete, user), "is deleted"),
            UserCommand::Logout(Destroyed { user, .. }) => {
                self.say(&change!(self, logout, user), "has no sessions any more")
            }
            UserCommand::Devices { user, detailed } => self.devices(user.user, detailed).await,
            UserCommand::DeleteDevice { user, devices, .. } => self.delete_devices(user, devices).await,
            UserCommand::Import { file, format, dry_run, report } => {
                import::run(self.connection, import::Options { file, format, dry_run, report, json: self.json }).await
            }
        }
    }

    fn say(&self, user: &User, what: &str) -> Result<()> {
        if self.json {
            return print_json(user);
        }
        show(format_args!("{} {what}", user.user_id));
        Ok(())
    }

    async fn create(&self, request: CreateUserRequest) -> Result<()> {
        let user: User = call!(self.connection, UsersClient.create, request)?;
        if self.json {
            return print_json(&user);
        }
        show(format_args!("created {}{}", if user.admin { "the administrator " } else { "" }, user.user_id));
        Ok(())
    }

    async fn reset_password(&self, request: ResetPasswordRequest) -> Result<()> {
        let kept = request.keep_sessions;
        let user = call!(self.connection, UsersClient.reset_password, request)?;
        let sessions = if kept { "its sessions go on" } else { "all sessions have ended" };
        self.say(&user, &format!("has a new password, and {sessions}"))
    }

    /// Page by page: a million accounts need the memory of one page.
    async fn list(&self, mut request: ListUsersRequest, mut left: usize, detailed: bool) -> Result<()> {
        let mut table = Table::new(&USERS, detailed);
        loop {
            request.page_size = PAGE.min(left) as u32;
            let page = call!(self.connection, UsersClient.list, request.clone())?;
            if self.json {
                page.users.iter().try_for_each(print_json)?;
            } else {
                table.print(&page.users);
            }
            left = left.saturating_sub(page.users.len());
            if page.next_page_token.is_empty() || left == 0 {
                return Ok(());
            }
            request.page_token = page.next_page_token;
        }
    }

    async fn devices(&self, user: String, detailed: bool) -> Result<()> {
        let devices = change!(self, list_devices, user).devices;
        if self.json {
            return devices.iter().try_for_each(print_json);
        }
        Table::new(&DEVICES, detailed).print(&devices);
        Ok(())
    }

    async fn delete_devices(&self, user: String, device_ids: Vec<String>) -> Result<()> {
        let request = DeleteDevicesRequest { user, device_ids };
        let left: Vec<_> = call!(self.connection, UsersClient.delete_devices, request)?.devices;
        if self.json {
            return left.iter().try_for_each(print_json);
        }
        show(format_args!("deleted; the account has {} devices now", left.len()));
        Ok(())
    }
}

/// So that `matrixon user import` says it in the same words.
fn refuse(message: String) -> anyhow::Error {
    Failure::failed(message).into()
}
