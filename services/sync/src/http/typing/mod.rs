pub(super) mod create_typing_event;
