pub(super) mod create_tag;
pub(super) mod delete_tag;
pub(super) mod get_tags;
