-- The room DAG. Written by the room service alone; sync reads it through services/lib/rooms.

create table rooms (
    id                  bigint generated always as identity primary key, -- interned room id
    room_id             text   not null unique,
    room_version        text   not null,
    version             bigint not null,   -- bumped by every append: the whole concurrency control
    forward_extremities text   not null,   -- JSON array of event ids
    depth               bigint not null,   -- the greatest depth so far
    state_snapshot      bigint not null,   -- the current state
    created_ts          bigint not null,
    state_redactions    bigint not null default 0,     -- bumped when a state event is redacted: cached state is then stale
    published           boolean not null default false, -- listed in the room directory
    idempotency_key     text   unique      -- of the createRoom request, so that its retry finds the room
) with (fillfactor = 70);

create table events (
    position           bigint   primary key, -- stream `events`; negative: backfilled history
    room               bigint   not null,
    event_id           text     not null unique,
    event_type         text     not null,
    state_key          text,
    sender             text     not null,
    depth              bigint   not null,
    origin_server_ts   bigint   not null,
    json               text     not null,    -- the event as clients get it, without `unsigned`
    pdu                text     not null,    -- the members of the PDU that clients do not get, as a JSON object
    state_before       bigint   not null,    -- snapshot of the state before the event (0: empty)
    state_after        bigint   not null,    -- snapshot of the state after it; equal unless it is a state event
    replaces           bigint,               -- position of the state event that it replaced
    membership         text,                 -- of m.room.member
    history_visibility smallint not null,    -- in force at the event: 0 invited, 1 joined, 2 shared, 3 world_readable
    status             smallint not null default 0, -- 0 accepted, 1 soft-failed, 2 rejected, 3 outlier
    redacted_by        bigint,               -- position of the redaction; `json` is then the redacted form
    device_id          text,                 -- the sending device, with its transaction id
    txn_id             text
);
create unique index events_room_position on events (room, position);
create unique index events_txn on events (room, sender, device_id, txn_id) where txn_id is not null;
create index events_room_state on events (room, event_type, state_key, position) where state_key is not null;

-- State after a state event = entries of the snapshot and of its ancestors, the nearest winning. Snapshot of height n holds the
-- changes of heights (n - lowbit(n), n] and its parent has height n - lowbit(n): a chain is never longer than log2(n).
create table state_snapshots (
    id     bigint generated always as identity primary key,
    room   bigint not null,
    parent bigint not null,  -- 0: none
    height bigint not null,
    previous bigint not null -- the snapshot of height n - 1 that it was built on (0: none)
);
create table state_entries (
    snapshot bigint not null,
    event    bigint not null, -- events.position
    primary key (snapshot, event)
);

create table current_state (
    room       bigint not null,
    event_type text   not null,
    state_key  text   not null,
    event      bigint not null, -- events.position
    primary key (room, event_type, state_key)
);

create table memberships (
    user_id    text    not null,
    room       bigint  not null,
    membership text    not null, -- join, invite, leave, ban, knock
    event      bigint  not null, -- events.position
    sender     text    not null,
    forgotten  boolean not null default false,
    primary key (user_id, room)
);
create index memberships_room on memberships (room, membership);

create table room_aliases (
    alias   text   primary key,
    room    bigint not null,
    creator text   not null,
    idempotency_key text -- of the request that made it, so that its retry is no conflict
);
create index room_aliases_room on room_aliases (room);

-- Results of requests without a transaction id (join, kick, …): a retry by the gateway finds what the first try did.
create table room_requests (
    idempotency_key text   primary key,
    event_id        text   not null,
    created_ts      bigint not null
);
create index room_requests_created on room_requests (created_ts);
