-- no-transaction
-- What an attempt that was interrupted has left is of no use.
drop index concurrently if exists key_grants_seq;

create index concurrently key_grants_seq on key_grants (seq);
