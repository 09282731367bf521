pub(super) mod send_event_to_device;
