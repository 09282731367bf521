-- Every administrative action, each record chained to the one before by a hash (docs/reference/audit-log.md). Written by the
-- auth service and the command line, only ever appended to.
create table audit_log (
    seq         integer primary key, -- 1, 2, 3 … without gaps
    ts          integer not null,
    actor       text    not null,
    via         text    not null,
    action      text    not null,
    target      text    not null,
    remote      text    not null,
    result      text    not null,
    request_id  text    not null,
    details     text    not null,
    prev_hash   blob    not null,
    hash        blob    not null,
    request_key text    unique       -- of an action that succeeded, so that its retry finds it; not part of the hash
);
create index audit_log_target on audit_log (target, seq);
create index audit_log_actor on audit_log (actor, seq);

-- The end of the chain.
create table audit_head (
    id   integer primary key check (id = 1),
    seq  integer not null,
    hash blob    not null
);
insert into audit_head (id, seq, hash) values (1, 0, zeroblob(32));

create trigger audit_log_no_update before update on audit_log
begin
    select raise(abort, 'the audit log is append-only');
end;
create trigger audit_log_no_delete before delete on audit_log
begin
    select raise(abort, 'the audit log is append-only');
end;

-- A token whose creation is tried again is found by the key of the request that made it.
alter table registration_tokens add column created_by_request text;
create unique index registration_tokens_request on registration_tokens (created_by_request)
    where created_by_request is not null;
