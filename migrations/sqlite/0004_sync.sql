-- What belongs to users: account data, receipts, filters. Written by the sync service alone.

-- The latest content of every key with its position in stream `account_data`.
create table account_data (
    position  integer not null,
    user_id   text   not null,
    room_id   text   not null, -- '': global
    data_type text   not null,
    content   text   not null, -- a JSON object
    primary key (user_id, room_id, data_type)
);
create unique index account_data_position on account_data (position);
create index account_data_user_position on account_data (user_id, position);

-- The latest receipt of every key with its position in stream `receipts`.
create table receipts (
    position     integer not null,
    room         integer not null,
    receipt_type text   not null, -- m.read, m.read.private
    user_id      text   not null,
    thread_id    text   not null, -- '': unthreaded
    event_id     text   not null,
    event        integer not null, -- events.position of event_id: a receipt never moves back
    ts_ms        integer not null,
    primary key (room, receipt_type, user_id, thread_id)
);
create unique index receipts_position on receipts (position);
create index receipts_room_position on receipts (room, position);

create table filters (
    user_id text   not null,
    id      integer not null, -- counts from 1 for each user
    sha256  blob   not null, -- of `filter`: the same filter gets the same id
    filter  text   not null, -- JSON
    primary key (user_id, id)
);
create unique index filters_sha256 on filters (user_id, sha256);
