pub(super) mod get_key_changes;
