-- Durable consumers of streams (services/lib/store/src/streams/consumer): how far each shard is, and who works on it.
create table stream_cursors (
    consumer    text    not null,
    shard       integer not null,
    stream      text    not null,
    position    integer not null,            -- everything up to here is done
    owner       text    not null default '', -- the process that works on it; empty: none
    epoch       integer not null default 0,  -- grows with every claim: a former owner cannot move the cursor
    lease_until integer not null default 0,  -- milliseconds of the database's clock; also when it was last alive
    primary key (consumer, shard)
);

-- Processes that share the shards of a consumer, so that each takes its part only.
create table stream_workers (
    consumer    text   not null,
    owner       text   not null,
    alive_until integer not null,
    primary key (consumer, owner)
);
