-- A claim of one-time keys writes what it gave, one row, and `key_queues.next` follows later, for many claims at once.

-- The last place in the log, and the last one of which queues know.
create table key_grant_log (
    name text   primary key, -- given, folded
    seq  bigint not null
);
insert into key_grant_log (name, seq) values ('given', 0), ('folded', 0);

-- Its place in the log. Null: of a version whose claims moved the queues themselves.
alter table key_grants add column seq bigint;

-- Read back at most once, and searched.
alter table key_grants alter column given set storage external;

-- The next number of a queue whose row says `next`. Of each queue there is one number in a grant at most.
create function key_queue_next(queue bigint, next bigint) returns bigint language sql stable as $$
    select greatest($2, (select max(split_part(split_part(given, '[' || $1 || ',', 2), ']', 1)::bigint) + 1
                         from key_grants
                         where seq > (select seq from key_grant_log where name = 'folded') and strpos(given, '[' || $1 || ',') > 0))
$$;

-- Replicas of a version without the log take turns with those that have it. What they give goes into the log, and what they
-- move is first brought to where the log says. A later version drops this.
create function log_key_grant() returns trigger language plpgsql as $$
begin
    update key_grant_log set seq = seq + 1 where name = 'given' returning seq into new.seq;
    return new;
end $$;
create trigger log_key_grant before insert on key_grants for each row when (new.seq is null) execute function log_key_grant();

create function pass_given_keys() returns trigger language plpgsql as $$
begin
    new.next := new.next + key_queue_next(old.id, old.next) - old.next;
    if new.next > new.ends then
        return null;
    end if;
    return new;
end $$;
create trigger pass_given_keys before update of next on key_queues for each row
    when (new.next <> old.next and current_setting('matrixon.folds', true) is distinct from 'on') execute function pass_given_keys();
