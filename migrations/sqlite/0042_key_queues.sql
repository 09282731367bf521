-- One-time keys wait in queues.
-- What 0005 and 0041 had instead, `one_time_keys` and `key_claims`, is emptied by services/auth/src/store/earlier_keys.rs and dropped
-- by a later version.

-- Keys number `next` to `ends - 1` of a queue have not been given out. A claim moves `next`, which changes one page of this
-- small table for many devices at once.
create table key_queues (
    id        integer primary key autoincrement, -- never used again: grants outlive queues
    device    integer not null references devices (id) on delete cascade,
    algorithm text    not null,
    next      integer not null default 0,
    ends      integer not null default 0,
    unique (device, algorithm)
);

-- What has been given out stays until its grant goes.
create table queued_keys (
    queue  integer not null references key_queues (id) on delete cascade,
    number integer not null,
    key_id text    not null,
    json   text    not null,
    primary key (queue, number)
) without rowid;

-- What claims gave out, for those of them that arrive again. Pruned after an hour, with the keys.
create table key_grants (
    request    text    not null, -- idempotency key
    algorithm  text    not null,
    given      text    not null, -- JSON: [[queue, number], …]
    created_ts integer not null,
    primary key (request, algorithm)
);
create index key_grants_created on key_grants (created_ts);
