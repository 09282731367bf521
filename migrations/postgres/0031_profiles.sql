-- Profile fields beyond `users.displayname` and `users.avatar_url`. Written by the auth service alone.
create table profile_fields (
    account bigint not null references users (id) on delete cascade,
    field   text   not null,
    value   text   not null, -- JSON
    primary key (account, field)
);

-- False: the user's rooms shall not hear of the change.
alter table profile_changes add column propagate boolean not null default true;

-- Accounts that were there before the stream enter it, so that the user directory finds them.
insert into profile_changes (position, user_id, field, created_ts, propagate)
select p.position + row_number() over (order by u.id), u.user_id, 'displayname', (extract(epoch from now()) * 1000)::bigint, false
from users u cross join stream_positions p where p.stream = 'profiles';
update stream_positions set position = position + (select count(*) from users) where stream = 'profiles';

-- Users whose rooms have yet to hear of their new name or avatar. Written by the room service alone.
create table profile_propagations (
    user_id     text    primary key,
    position    bigint  not null,            -- the newest change, of stream `profiles`
    next_room   bigint  not null default 0,  -- rooms up to this one have heard of it
    served_ts   bigint  not null default 0,  -- who waits longest is served next
    lease       text    not null default '', -- the process that is at it
    lease_until bigint  not null default 0   -- milliseconds
) with (fillfactor = 70);
create index profile_propagations_served on profile_propagations (served_ts);

-- Written by the auth service alone.
create table openid_tokens (
    token_sha256 bytea  primary key,
    user_id      text   not null,
    expires_ts   bigint not null
);
create index openid_tokens_expires on openid_tokens (expires_ts);
