-- One-time keys by the request, not by the key: what a claim gave, and what a device has uploaded. Nothing writes
-- `claimed_keys` any more; a later version drops it.

-- What claims gave out, for those of them that arrive again. Pruned after an hour.
create table key_claims (
    request    text   not null, -- idempotency key
    algorithm  text   not null,
    given      text   not null, -- JSON: [[device, "key id", key], …]
    created_ts integer not null,
    primary key (request, algorithm)
);
create index key_claims_created on key_claims (created_ts);

-- The ids that a device has uploaded: none of them is taken again once its key is gone. Pruned after a month.
create table key_uploads (
    device     integer not null references devices (id) on delete cascade,
    key_ids    text   not null, -- JSON: ["<algorithm>:<key id>", …]
    created_ts integer not null
);
create index key_uploads_device on key_uploads (device);
create index key_uploads_created on key_uploads (created_ts);

insert into key_uploads (device, key_ids, created_ts)
select device, json_group_array(algorithm || ':' || key_id), unixepoch() * 1000
from (select device, algorithm, key_id from one_time_keys
      union
      select c.device, c.algorithm, c.key_id from claimed_keys c join devices d on d.id = c.device) k
group by device;

-- A row may stand for many devices: its position is then that of the last of them.
alter table key_count_changes add column devices text; -- JSON: [device, …]

-- Whose account data and filters are to be forgotten.
create index users_erased on users (user_id) where erased;
