-- Accounts, devices, tokens. Written by the auth service alone.

create table users (
    id                 bigint generated always as identity primary key, -- interned user id
    user_id            text    not null unique,
    password_hash      text,             -- PHC string; null: no password log-in
    admin              boolean not null default false,
    deactivated        boolean not null default false,
    displayname        text,
    avatar_url         text,
    created_ts         bigint  not null,
    created_by_request text    unique    -- idempotency key of the registration, so that its retry finds the account
);

create table devices (
    id                   bigint generated always as identity primary key,
    account              bigint not null references users (id) on delete cascade,
    device_id            text   not null,
    display_name         text,
    created_ts           bigint not null,
    last_seen_ts         bigint not null, -- written in bulk, at most once a minute
    last_seen_ip         text,
    last_seen_user_agent text,
    unique (account, device_id)
) with (fillfactor = 80);

-- A session's tokens come in generations: refreshing makes the next one, which names the refresh token that it
-- `replaces`. The older generation ends when the newer one is first used, and `replaces` becomes null.
create table refresh_tokens (
    id           bigint generated always as identity primary key,
    token_sha256 bytea  not null unique,
    device       bigint not null references devices (id) on delete cascade,
    replaces     bigint,
    created_ts   bigint not null
);
create index refresh_tokens_device on refresh_tokens (device);
create index refresh_tokens_replaces on refresh_tokens (replaces) where replaces is not null;

create table access_tokens (
    token_sha256 bytea  primary key,
    device       bigint not null references devices (id) on delete cascade,
    refresh      bigint,           -- the refresh token of the same generation
    replaces     bigint,           -- the refresh token that this generation replaces once it is used
    expires_ts   bigint,           -- null: never
    created_ts   bigint not null
);
create index access_tokens_device on access_tokens (device);
create index access_tokens_refresh on access_tokens (refresh) where refresh is not null;

create table registration_tokens (
    token        text    primary key,
    uses_allowed bigint,           -- null: any number
    completed    bigint  not null default 0,
    expires_ts   bigint,           -- null: never
    grants_admin boolean not null default false,
    bootstrap    boolean not null default false, -- made by the first start, for the first administrator
    created_ts   bigint  not null
);
create unique index registration_tokens_bootstrap on registration_tokens (bootstrap) where bootstrap;

-- Stream `revocations`: what a gateway must forget. Rows older than a day are pruned.
create table revocations (
    position     bigint primary key,
    user_id      text   not null,
    device_id    text   not null,  -- empty: every device of the user
    token_sha256 bytea  not null,  -- empty: every token of the device
    created_ts   bigint not null
);
