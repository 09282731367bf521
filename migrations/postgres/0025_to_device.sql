-- The inboxes of devices, and the stream by which every /sync tells the count of one-time keys.
insert into stream_positions (stream, position) values ('key_counts', 0);

-- Stream `to_device`: messages that their device has not acknowledged yet. Written by the sync service alone. An inbox goes
-- with its device; one made again under the same name has another number.
create table to_device (
    device     bigint not null references devices (id) on delete cascade,
    position   bigint not null,
    sender     text   not null,
    event_type text   not null,
    content    text   not null, -- a JSON object
    primary key (device, position)
);
create unique index to_device_position on to_device (position);

-- Transactions of /sendToDevice that were done: a repetition does nothing. Rows older than a day are pruned.
create table to_device_transactions (
    key        text   primary key, -- SHA-256 of sender, device, event type and transaction id
    created_ts bigint not null
);
create index to_device_transactions_created on to_device_transactions (created_ts);

-- Stream `key_counts`: of which devices the one-time or unused fallback keys changed. Written by the auth service alone; rows
-- older than a day are pruned.
create table key_count_changes (
    position   bigint primary key,
    device     bigint not null,
    created_ts bigint not null
);
create index key_count_changes_created on key_count_changes (created_ts);

-- Who came or went since a client was last here.
create index memberships_room_event on memberships (room, event);
