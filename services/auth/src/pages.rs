//! What web pages and mails are made of.

pub(crate) mod html;
pub(crate) mod texts;
