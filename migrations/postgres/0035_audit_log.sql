-- Every administrative action, each record chained to the one before by a hash (docs/reference/audit-log.md). Written by the
-- auth service and the command line, only ever appended to.
create table audit_log (
    seq         bigint primary key, -- 1, 2, 3 … without gaps
    ts          bigint not null,
    actor       text   not null,
    via         text   not null,
    action      text   not null,
    target      text   not null,
    remote      text   not null,
    result      text   not null,
    request_id  text   not null,
    details     text   not null,
    prev_hash   bytea  not null,
    hash        bytea  not null,
    request_key text   unique       -- of an action that succeeded, so that its retry finds it; not part of the hash
);
create index audit_log_target on audit_log (target, seq);
create index audit_log_actor on audit_log (actor, seq);

-- The end of the chain. Its row lock makes one chain of the records of all replicas.
create table audit_head (
    id   integer primary key check (id = 1),
    seq  bigint  not null,
    hash bytea   not null
);
insert into audit_head (id, seq, hash) values (1, 0, decode(repeat('00', 32), 'hex'));

create function audit_log_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is append-only';
end
$$;
create trigger audit_log_append_only before update or delete on audit_log
    for each row execute function audit_log_is_append_only();
create trigger audit_log_no_truncate before truncate on audit_log
    for each statement execute function audit_log_is_append_only();

-- A token whose creation is tried again is found by the key of the request that made it.
alter table registration_tokens add column created_by_request text;
create unique index registration_tokens_request on registration_tokens (created_by_request)
    where created_by_request is not null;

-- Accounts are listed and searched in the order of their ids' bytes, whatever the database's collation is.
create index users_by_name on users (user_id collate "C");
