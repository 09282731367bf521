pub(super) mod create_filter;
pub(super) mod get_filter;
