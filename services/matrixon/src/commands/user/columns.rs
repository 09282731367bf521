//! Accounts and devices as tables.

use matrixon_proto::admin::v1::{Device, User};

use crate::commands::{
    admin::{Column, moment, yes_no},
    show,
};

pub(super) static USERS: [Column<User>; 13] = [
    Column { head: "user id", detailed: false, value: |user| user.user_id.clone() },
    Column { head: "admin", detailed: false, value: |user| yes_no(user.admin) },
    Column { head: "state", detailed: false, value: state },
    Column { head: "devices", detailed: false, value: |user| user.devices.to_string() },
    Column { head: "last seen", detailed: false, value: |user| moment(user.last_seen_ts) },
    Column { head: "created", detailed: true, value: |user| moment(user.created_ts) },
    Column { head: "password", detailed: true, value: |user| yes_no(user.has_password) },
    Column { head: "guest", detailed: true, value: |user| yes_no(user.guest) },
    Column { head: "locked", detailed: true, value: |user| yes_no(user.locked) },
    Column { head: "suspended", detailed: true, value: |user| yes_no(user.suspended) },
    Column { head: "display name", detailed: true, value: |user| user.displayname.clone().unwrap_or_default() },
    Column { head: "avatar", detailed: true, value: |user| user.avatar_url.clone().unwrap_or_default() },
    Column { head: "e-mail", detailed: true, value: |user| user.emails.join(" ") },
];

pub(super) static DEVICES: [Column<Device>; 4] = [
    Column { head: "device id", detailed: false, value: |device| device.device_id.clone() },
    Column { head: "name", detailed: false, value: |device| device.display_name.clone().unwrap_or_default() },
    Column { head: "last seen", detailed: false, value: |device| moment(device.last_seen_ts) },
    Column { head: "from", detailed: true, value: |device| device.last_seen_ip.clone().unwrap_or_default() },
];

/// In one word, or several where several hold.
fn state(user: &User) -> String {
    let states = [
        (user.erased, "erased"),
        (user.deactivated, "deactivated"),
        (user.locked, "locked"),
        (user.suspended, "suspended"),
    ];
    let words: Vec<&str> = states.iter().filter(|(holds, _)| *holds).map(|(_, word)| *word).collect();
    if words.is_empty() { "active".to_owned() } else { words.join(",") }
}

/// One account, a line for each column.
pub(super) fn show_user(user: &User) {
    for column in &USERS {
        show(format_args!("{:<13} {}", column.head, (column.value)(user)).to_string().trim_end());
    }
}
