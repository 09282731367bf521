pub(super) mod sync_events;
