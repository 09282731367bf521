//! What the administration commands share. They speak gRPC (`proto/admin/v1`) to a gateway, or in this process to the auth
//! service on the configured database: the same calls either way.

mod connection;
mod local;
mod prompt;
mod remote;
mod table;

/// `call!(connection, UsersClient.lock, request)`: see [`Connection::call`].
macro_rules! call {
    ($connection:expr, $client:ident.$method:ident, $request:expr) => {
        $connection.call($request, |rpc, request| async move { $client::new(rpc).$method(request).await }).await
    };
}

pub(crate) use call;

pub(crate) use self::{
    connection::Connection,
    prompt::{confirm, read_password},
    table::{Column, Table, moment, print_json, yes_no},
};
