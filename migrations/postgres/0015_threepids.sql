-- Third-party identifiers (e-mail addresses), their validation, and the mail that it needs. Written by the auth service alone.

create table user_threepids (
    medium       text   not null, -- `email`
    address      text   not null, -- canonical: folded case
    account      bigint not null references users (id) on delete cascade,
    validated_ts bigint not null,
    added_ts     bigint not null,
    primary key (medium, address)
);
create index user_threepids_account on user_threepids (account);

-- Identity servers that were told of an association, so that they can be told of its end.
create table user_threepid_bindings (
    account   bigint not null references users (id) on delete cascade,
    medium    text   not null,
    address   text   not null,
    id_server text   not null,
    primary key (account, medium, address, id_server)
);

-- Somebody says that an address is theirs. The row goes once what it was made for is done, or when it expires.
create table threepid_validations (
    sid           text   primary key,
    client_secret text   not null,
    purpose       text   not null, -- `register`, `password`, `add`: none counts for another
    medium        text   not null,
    address       text   not null,
    send_attempt  bigint not null,
    next_link     text,
    created_ts    bigint not null,
    expires_ts    bigint not null,
    validated_ts  bigint,          -- null: not yet
    consumed_by   text,            -- the request that made use of it; only its own retries may do so again
    unique (client_secret, purpose, medium, address)
);
create index threepid_validations_expires on threepid_validations (expires_ts);

-- The links of a validation. Each mail has its own, made when it is sent, so that none lies in the queue.
create table threepid_tokens (
    token_sha256 bytea primary key,
    sid          text  not null references threepid_validations (sid) on delete cascade
);
create index threepid_tokens_sid on threepid_tokens (sid);

-- Mail to be sent. Who claims a row moves `due_ts` ahead, and so holds it until then; what is sent is deleted.
create table mail_queue (
    id         bigint generated always as identity primary key,
    kind       text   not null,
    recipient  text   not null,
    sid        text,
    attempts   bigint not null default 0,
    due_ts     bigint not null,
    expires_ts bigint not null,
    created_ts bigint not null
);
create index mail_queue_due on mail_queue (due_ts);

-- Which version of a policy an account has agreed to.
create table user_terms (
    account     bigint not null references users (id) on delete cascade,
    policy      text   not null,
    version     text   not null,
    accepted_ts bigint not null,
    primary key (account, policy)
);
