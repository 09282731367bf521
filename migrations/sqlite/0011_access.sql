-- Tokens that log in once (`m.login.token`). Who used one is kept until it expires, so that the same request, arriving
-- again, gets its session.
create table login_tokens (
    token_sha256    blob   primary key,
    account         integer not null references users (id) on delete cascade,
    expires_ts      integer not null,
    used_by_request text              -- idempotency key of the log-in; null: not used yet
);
create index login_tokens_account on login_tokens (account);
create index login_tokens_expires on login_tokens (expires_ts);

-- Refresh tokens whose successor is in use. Shown again, one of them ends its session: somebody has a copy.
create table spent_refresh_tokens (
    token_sha256 blob   primary key,
    device       integer not null references devices (id) on delete cascade,
    request      text,            -- idempotency key of the refresh that replaced it: arriving late, that one ends nothing
    spent_ts     integer not null
);
create index spent_refresh_tokens_device on spent_refresh_tokens (device);
create index spent_refresh_tokens_spent on spent_refresh_tokens (spent_ts);

alter table refresh_tokens add column created_by_request text; -- idempotency key of the refresh that made it

-- Where two devices meet to log one of them in (MSC4108). Whoever knows the id may read, write and end a session.
create table rendezvous_sessions (
    id           text   primary key,
    content      blob   not null,
    version      integer not null default 1, -- grows with every write: the entity tag
    updated_ts   integer not null,
    expires_ts   integer not null,
    updated_by_request text not null -- idempotency key of the last write
);
create index rendezvous_sessions_expires on rendezvous_sessions (expires_ts);
