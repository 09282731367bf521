-- Streams about devices and profiles, and the keys of which every /sync tells the count.
insert into stream_positions (stream, position) values ('to_device', 0), ('device_lists', 0), ('profiles', 0);

-- Stream `device_lists`: whose devices or cross-signing keys changed. Written by the auth service alone. Rows that a later
-- one of the same user supersedes are pruned after a while.
create table device_list_changes (
    position   bigint  primary key,
    user_id    text    not null,
    device_id  text    not null, -- empty: the cross-signing keys
    deleted    boolean not null default false,
    created_ts bigint  not null
);
create index device_list_changes_user on device_list_changes (user_id, position);

-- Stream `profiles`: which profile field changed. Written by the auth service alone; pruned like the above.
create table profile_changes (
    position   bigint primary key,
    user_id    text   not null,
    field      text   not null,
    created_ts bigint not null
);
create index profile_changes_user on profile_changes (user_id, position);

-- Given out once, in the order of their ids. Written by the auth service alone.
create table one_time_keys (
    id        bigint generated always as identity primary key,
    device    bigint not null references devices (id) on delete cascade,
    algorithm text   not null,
    key_id    text   not null,
    json      text   not null,
    unique (device, algorithm, key_id)
);
create index one_time_keys_order on one_time_keys (device, algorithm, id);

create table fallback_keys (
    device    bigint  not null references devices (id) on delete cascade,
    algorithm text    not null,
    key_id    text    not null,
    json      text    not null,
    used      boolean not null default false,
    primary key (device, algorithm)
);
