-- One counter row per stream. The row lock taken by `update … set position = position + n` as the last step
-- before commit makes commit order equal position order (docs/architecture.md, "Streams").
create table stream_positions (
    stream   text    primary key,
    position integer not null
) without rowid;

insert into stream_positions (stream, position) values
    ('events', 0), ('receipts', 0), ('account_data', 0), ('revocations', 0);
