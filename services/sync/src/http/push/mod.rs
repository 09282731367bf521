pub(super) mod get_pushrules_all;
pub(super) mod get_pushrules_global_scope;
