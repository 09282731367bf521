pub(crate) mod get_capabilities;
