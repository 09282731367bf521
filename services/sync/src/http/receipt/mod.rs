pub(super) mod create_receipt;
pub(super) mod set_read_marker;
