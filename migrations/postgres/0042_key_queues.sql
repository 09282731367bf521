-- One-time keys wait in queues.
-- What 0005 and 0041 had instead, `one_time_keys` and `key_claims`, is emptied by services/auth/src/store/earlier_keys.rs and dropped
-- by a later version.

-- Keys number `next` to `ends - 1` of a queue have not been given out. A claim moves `next`: with the room on each page that is
-- an update in place, without a change of an index.
create table key_queues (
    id        bigint generated always as identity primary key,
    device    bigint not null,
    algorithm text   not null,
    next      bigint not null default 0,
    ends      bigint not null default 0,
    unique (device, algorithm)
) with (fillfactor = 50);

-- Not `references … on delete cascade`: that is checked for every row that one transaction updates twice, as claims of the same
-- devices do that are committed together. Uploads hold the device, so no queue comes after its end.
create function delete_key_queues() returns trigger language plpgsql as $$
begin
    delete from key_queues where device = old.id;
    return null;
end $$;
create trigger delete_key_queues after delete on devices for each row execute function delete_key_queues();

-- What has been given out stays until its grant goes.
create table queued_keys (
    queue  bigint not null references key_queues (id) on delete cascade,
    number bigint not null,
    key_id text   not null,
    json   text   not null,
    primary key (queue, number)
);

-- What claims gave out, for those of them that arrive again. Pruned after an hour, with the keys.
create table key_grants (
    request    text   not null, -- idempotency key
    algorithm  text   not null,
    given      text   not null, -- JSON: [[queue, number], …]
    created_ts bigint not null,
    primary key (request, algorithm)
);
create index key_grants_created on key_grants using brin (created_ts);
