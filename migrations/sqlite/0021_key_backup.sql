-- Server-side backup of room keys. Written by the auth service alone.

create table backup_versions (
    account            integer  not null references users (id) on delete cascade,
    version            integer not null,           -- counts from 1 for each user; never used again
    algorithm          text    not null,
    auth_data          text    not null,           -- JSON
    etag               integer  not null default 0, -- changes with the keys
    count              integer  not null default 0, -- of the keys
    deleted            boolean not null default false, -- its keys are deleted in the background
    created_by_request text,                       -- idempotency key, so that its retry finds the version
    created_ts         integer  not null,
    primary key (account, version)
);
create index backup_versions_deleted on backup_versions (account, version) where deleted;

create table backup_keys (
    account             integer  not null references users (id) on delete cascade,
    version             integer  not null,
    room_id             text    not null,
    session_id          text    not null,
    first_message_index integer  not null,
    forwarded_count     integer  not null,
    is_verified         boolean not null,
    session_data        text    not null, -- JSON, encrypted by the client
    primary key (account, version, room_id, session_id)
);
